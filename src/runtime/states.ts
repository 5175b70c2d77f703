/** The shared states of this process, by name. */
import { HandoverError } from '../errors.js'
import { checkName } from './sessions.js'
import type { StateDefinition } from './types.js'
import { checkVersions } from './versions.js'

export class States {
  readonly definitions = new Map<string, StateDefinition>()

  /** Those that a successor may do without. */
  readonly optional = new Set<string>()

  declare(name: string, definition: StateDefinition, isOptional = false): void {
    checkName('shared state', name, this.definitions)
    checkVersions(`shared state "${name}"`, definition)
    for (const method of ['capture', 'restore'] as const) {
      if (typeof definition[method] !== 'function')
        throw new HandoverError('HANDOVER_USAGE', `shared state "${name}": ${method} must be a function`)
    }
    this.definitions.set(name, definition)
    if (isOptional) this.optional.add(name)
  }
}
