/** Paint the field: whoever steps on a cell owns it, until somebody else does. Rules only; nothing of the network. */

export const WIDTH = 24
export const HEIGHT = 14
export const ROUND_MS = 60_000

/** Plain data: it moves as it is. */
export interface Player {
  id: string
  name: string
  /** Index of its colour, from 1 on. */
  colour: number
  x: number
  y: number
}

export interface GameState {
  /** Owners of the cells, row by row; 0: nobody's. */
  cells: number[]
  round: number
  /** Of the last round. */
  winner: string | null
  nextColour: number
}

export const COLOURS = 8

const STEPS: Record<string, readonly [x: number, y: number]> = {
  left: [-1, 0],
  right: [1, 0],
  up: [0, -1],
  down: [0, 1],
}

export const newGame = (): GameState => ({
  cells: new Array<number>(WIDTH * HEIGHT).fill(0),
  round: 1,
  winner: null,
  nextColour: 0,
})

export function newPlayer(game: GameState, id: string): Player {
  const colour = (game.nextColour++ % COLOURS) + 1
  const player = { id, name: `player ${colour}`, colour, x: (colour * 5) % WIDTH, y: (colour * 3) % HEIGHT }
  paint(game, player)
  return player
}

/** True when it was a step. */
export function step(game: GameState, player: Player, direction: unknown): boolean {
  const by = STEPS[String(direction)]
  if (by === undefined) return false
  player.x = (player.x + by[0] + WIDTH) % WIDTH
  player.y = (player.y + by[1] + HEIGHT) % HEIGHT
  paint(game, player)
  return true
}

const paint = (game: GameState, { x, y, colour }: Player): void => {
  game.cells[y * WIDTH + x] = colour
}

export const scoreOf = (game: GameState, { colour }: Player): number =>
  game.cells.reduce((sum, cell) => sum + (cell === colour ? 1 : 0), 0)

export function nextRound(game: GameState, players: readonly Player[]): void {
  const best = players.toSorted((a, b) => scoreOf(game, b) - scoreOf(game, a))[0]
  game.winner = best?.name ?? null
  game.round += 1
  game.cells.fill(0)
  for (const player of players) paint(game, player)
}
