/** STATUS= of a supervisor: one line for `systemctl status`. */
import type { SupervisorStatus } from '../status.js'

/** Such as `generation 3 (server.js, Node 20.20.2, pid 4242) serves 12 sessions; upgrade 2 committed`. */
export function statusText({ generations, lastUpgrade, upgrading }: SupervisorStatus): string {
  const serving = generations.filter(({ state }) => state === 'serving')
  const draining = generations.filter(({ state }) => state === 'draining').length
  const [first] = serving
  const parts: string[] = []
  if (first === undefined) parts.push('nobody serves')
  else {
    const counts = serving.flatMap(({ sessions }) => Object.values(sessions ?? {}))
    const sessions = counts.reduce((sum, count) => sum + count, 0)
    const who = serving.length === 1 ? `pid ${first.pid}` : `${serving.length} processes`
    const node = first.node === '' ? '' : `, Node ${first.node}`
    const what = first.joins ? `serves ${sessions} ${sessions === 1 ? 'session' : 'sessions'}` : 'serves'
    parts.push(`generation ${first.generation} (${first.release}${node}, ${who}) ${what}`)
  }
  if (draining > 0) parts.push(`${draining} ${draining === 1 ? 'process drains' : 'processes drain'}`)
  if (upgrading !== null && upgrading !== 'drain') parts.push(`an upgrade is in progress (${upgrading})`)
  else if (lastUpgrade !== null) parts.push(`upgrade ${lastUpgrade.id} ${lastUpgrade.outcome}${reasonOf(lastUpgrade)}`)
  // A line of its own in the message, and on a terminal.
  return parts.join('; ').replace(/\p{C}/gu, ' ').slice(0, 512)
}

const reasonOf = ({ outcome, reasons }: NonNullable<SupervisorStatus['lastUpgrade']>): string =>
  outcome === 'committed' || reasons[0] === undefined ? '' : `: ${reasons[0].reason}`
