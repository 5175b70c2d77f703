/** The field, drawn as the server says. One Socket.IO client for the life of the page. */
/* global io */

const at = (id) => document.getElementById(id)
const KEYS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' }
const socket = io()
let connects = 0
let roundEndsAt = 0

socket.on('connect', () => {
  connects += 1
  at('connects').textContent = connects
})

socket.on('game', (game) => {
  draw(game)
  roundEndsAt = performance.now() + game.leftMs
  at('round').textContent = game.round
  at('winner').textContent = game.winner === null ? '' : `· ${game.winner} won the last one`
  at('process').textContent = game.process
  at('generation').textContent = game.generation
  at('players').replaceChildren(
    ...game.players
      .toSorted((a, b) => b.score - a.score)
      .map(({ id, name, colour, score }) => {
        const item = document.createElement('li')
        item.className = `c${colour}${id === socket.id ? ' me' : ''}`
        item.textContent = `${name}: ${score}`
        return item
      }),
  )
})

function draw({ width, cells, players }) {
  const field = at('field')
  if (field.childElementCount !== cells.length) {
    field.style.gridTemplateColumns = `repeat(${width}, 1fr)`
    field.replaceChildren(...cells.map(() => document.createElement('i')))
  }
  for (const [index, cell] of cells.entries()) field.children[index].className = cell === 0 ? '' : `c${cell}`
  for (const { x, y } of players) field.children[y * width + x].classList.add('here')
}

addEventListener('keydown', (event) => {
  const direction = KEYS[event.key]
  if (direction === undefined || event.target === at('name')) return
  event.preventDefault()
  socket.emit('step', direction)
})
for (const button of document.querySelectorAll('[data-step]'))
  button.onclick = () => socket.emit('step', button.dataset.step)
at('name').onchange = () => socket.emit('name', at('name').value)
setInterval(() => {
  at('left').textContent = `${Math.max(0, Math.ceil((roundEndsAt - performance.now()) / 1000))} s`
}, 200)
