/** A supervisor under systemd: what it is given, what it says, what it keeps there. */
export { type Manager, managerOf } from './manager.js'
export { Service } from './service.js'
export { type DescriptorStore, listenerStore, SystemdStore, sessionStore } from './store.js'
