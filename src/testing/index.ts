/** `handover/testing`: holds captured state against what earlier releases wrote, in the user's own tests. */
export { ERRORS, type ErrorCode, HandoverError } from '../errors.js'
export { checkShapes } from './check.js'
export type { SessionSamples, ShapesOptions, ShapesResult, StateSamples } from './types.js'
