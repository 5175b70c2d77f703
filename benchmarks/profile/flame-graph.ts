/** A flame graph as one plain SVG: width is time, above a function is what it called, the title of a box says more. */
import type { Frame, Sample } from './cpu-profile.js'
import { ALL_GROUPS, groupOf, groupOfOne, OTHER, TRAFFIC } from './groups.js'

const WIDTH = 1600
const ROW = 17
const TOP = 64
const MARGIN = 8
/** What is narrower than this, in pixels, is left out: nobody can see it, and there are thousands. */
const NARROWEST = 0.6
const CHARACTER = 6.2

interface Node {
  readonly name: string
  readonly frame: Frame
  us: number
  readonly children: Map<string, Node>
}

const placeOf = ({ url, line }: Frame): string =>
  url === '' ? '' : `${url.replace(/^.*\/(dist|node_modules)\//, '')}:${line}`

function treeOf(samples: readonly Sample[]): Node {
  const root: Node = { name: 'all', frame: { functionName: 'all', url: '', line: 0 }, us: 0, children: new Map() }
  for (const sample of samples) {
    if (groupOf(sample).name === 'idle') continue
    let node = root
    node.us += sample.durationUs
    for (const frame of sample.stack) {
      const name = `${frame.functionName} ${placeOf(frame)}`
      const child = node.children.get(name) ?? { name, frame, us: 0, children: new Map() }
      node.children.set(name, child)
      child.us += sample.durationUs
      node = child
    }
  }
  return root
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

function depthOf(node: Node, pxPerUs: number): number {
  const wide = [...node.children.values()].filter(({ us }) => us * pxPerUs >= NARROWEST)
  return 1 + Math.max(0, ...wide.map((child) => depthOf(child, pxPerUs)))
}

/** @param samples of the stretch to be shown; idle ones are left out. */
export function flameGraph(title: string, samples: readonly Sample[], sessions: number): string {
  const root = treeOf(samples)
  const pxPerUs = (WIDTH - 2 * MARGIN) / Math.max(1, root.us)
  const rows = depthOf(root, pxPerUs)
  const height = TOP + rows * ROW + MARGIN
  const boxes: string[] = []

  const draw = (node: Node, x: number, row: number, inherited: string): void => {
    const width = node.us * pxPerUs
    if (width < NARROWEST) return
    // Like in the table: a function without a group is its caller's.
    const isTraffic = inherited === TRAFFIC.color || (row === 1 && TRAFFIC.has(node.frame))
    const color = isTraffic ? TRAFFIC.color : (groupOfOne(node.frame)?.color ?? inherited)
    const y = height - MARGIN - (row + 1) * ROW
    const share = ((node.us / root.us) * 100).toFixed(1)
    const said = `${node.name.trim()}: ${(node.us / sessions).toFixed(2)} µs for each session, ${share} %`
    const room = Math.floor((width - 6) / CHARACTER)
    const { functionName } = node.frame
    const label = room < 3 ? '' : functionName.length <= room ? functionName : `${functionName.slice(0, room - 1)}…`
    const box = `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.3, width - 0.4).toFixed(1)}" height="${ROW - 1}" fill="${color}"/>`
    const text = label === '' ? '' : `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(label)}</text>`
    boxes.push(`<g><title>${escaped(said)}</title>${box}${text}</g>`)
    let left = x
    for (const child of [...node.children.values()].sort((a, b) => b.us - a.us)) {
      draw(child, left, row + 1, color)
      left += child.us * pxPerUs
    }
  }
  draw(root, MARGIN, 0, OTHER.color)

  let place = MARGIN
  const legend = ALL_GROUPS.filter(({ name }) => name !== 'idle').map(({ name, color }) => {
    const x = place
    place += name.length * CHARACTER + 36
    return `<rect x="${x}" y="36" width="12" height="12" fill="${color}"/><text x="${x + 16}" y="46">${escaped(name)}</text>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<title>${escaped(title)}</title>`,
    '<style>text { font: 11px sans-serif; fill: #111 } .title { font-size: 15px }</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text class="title" x="${MARGIN}" y="22">${escaped(title)}</text>`,
    ...legend,
    ...boxes,
    '</svg>',
    '',
  ].join('\n')
}
