/** The rules: whoever walks over a cell paints it. */

export const WIDTH = 24
export const HEIGHT = 14

export const COLOURS = ['#e4572e', '#17bebb', '#ffc914', '#76b041', '#8e6c8a', '#2e86ab', '#f18f01', '#c73e1d'] as const

export interface Player {
  readonly name: string
  readonly colour: string
  x: number
  y: number
}

export type Direction = 'up' | 'down' | 'left' | 'right'

const STEPS: Readonly<Record<Direction, readonly [number, number]>> = {
  up: [0, -1],
  down: [0, 1],
  left: [-1, 0],
  right: [1, 0],
}

export class Board {
  /** Row by row; null: nobody has been there. */
  cells: (string | null)[] = Array.from({ length: WIDTH * HEIGHT }, () => null)
  joined = 0

  /** A new player begins in the middle of the cells that are left. */
  join(name: string): Player {
    const index = (this.joined++ * 67 + 160) % this.cells.length
    const player = {
      name: name.slice(0, 16) || 'somebody',
      colour: COLOURS[this.joined % COLOURS.length] as string,
      x: index % WIDTH,
      y: Math.floor(index / WIDTH),
    }
    this.#paint(player)
    return player
  }

  /** @returns whether there was room. */
  step(player: Player, direction: unknown): boolean {
    const by = STEPS[direction as Direction]
    if (by === undefined) return false
    const [x, y] = [player.x + by[0], player.y + by[1]]
    if (x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT) return false
    player.x = x
    player.y = y
    this.#paint(player)
    return true
  }

  score(colour: string): number {
    return this.cells.filter((cell) => cell === colour).length
  }

  #paint({ x, y, colour }: Player): void {
    this.cells[y * WIDTH + x] = colour
  }
}
