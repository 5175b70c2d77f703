/**
 * Everything of Node that is private, in one place: the files of `node/`, seen to hold on Node 20, 22, 24 and 26.
 * `unsupported()` tests it on the Node at hand, once, and whoever wants to move sockets asks it first: when a field is gone,
 * sockets are drained.
 */
export { abandon } from './node/abandon.js'
export {
  AdoptedSocket,
  attach,
  countFrom,
  dropHeld,
  endReadableSilently,
  endWritableSilently,
  type Gate,
  isPipe,
  knowPeer,
  release,
  settle,
} from './node/adopted.js'
export {
  isBuffering,
  isPipeFull,
  keepOutputReadable,
  keepUnwritten,
  unreadInput,
  unsentOutput,
  writeFirst,
  writeStringsDirectly,
  writesInFlight,
} from './node/buffers.js'
export { collectYoung, prepareToCollect } from './node/collect.js'
export {
  countConnection,
  countRequests,
  holdReads,
  incomingRequest,
  isAtBoundary,
  isParsing,
  letRead,
  releaseParser,
  whyNotAtBoundary,
} from './node/http.js'
export { canReadWindow, fullDictionary, inflateWindow, withoutZerosBefore } from './node/inflate.js'
export { type HeldListener, listenHeld } from './node/listener.js'
export { applyOptions, hasOptions, isUnrefed, knowOptions, optionsOf, unrefSilently } from './node/options.js'
export { descriptorOf } from './node/private.js'
export { readRequest } from './node/request.js'
export { unsupported } from './node/self-test.js'
export { idleLeftMs, knowTimeout, resumeIdleTimer, timeLeftMs, timerOf } from './node/timers.js'
export {
  areTicketKeysGiven,
  isContextGiven,
  lastResponse,
  readOn,
  sessionIdContextOf,
  setSessionIdContext,
} from './node/tls.js'
export { followUse } from './node/usage.js'
