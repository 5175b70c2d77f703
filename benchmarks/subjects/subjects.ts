/** Who moves idle sessions: the library, Node's own way twice, and the least that could do it. */

export interface SubjectEntry {
  readonly title: string
  readonly file: 'handover' | 'ipc' | 'floor'
  /** Messages that may be under way. */
  readonly outstanding?: number
}

export type Subject = 'handover' | 'ipc' | 'ipc-all' | 'floor'

export const SUBJECTS: Readonly<Record<Subject, SubjectEntry>> = {
  handover: { title: 'handover, all in one freeze', file: 'handover' },
  ipc: { title: '`process.send(socket)`, 64 outstanding (its best; loses bytes)', file: 'ipc', outstanding: 64 },
  'ipc-all': { title: '`process.send(socket)`, all at once', file: 'ipc', outstanding: Number.MAX_SAFE_INTEGER },
  floor: { title: 'floor: `sendmsg` of 128 + `new net.Socket({ fd })`', file: 'floor' },
}
