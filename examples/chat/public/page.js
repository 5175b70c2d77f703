/** One WebSocket for the life of the page. What serves it may change: the page is told, and goes on. */

const PULSE = 60
const PING_EVERY_MS = 100

const at = (id) => document.getElementById(id)
let sockets = 0
let socket
let serving
let pings = 0
/** By number: when it was sent. */
const waiting = new Map()
const isLiked = () => serving?.features.includes('likes') ?? false

function connect() {
  sockets += 1
  at('sockets').textContent = `${sockets} WebSocket${sockets === 1 ? '' : 's'} since this page was loaded`
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/`)
  socket.onopen = () => at('name').value !== '' && tell({ type: 'name', name: at('name').value })
  socket.onmessage = ({ data }) => hear(JSON.parse(data))
  socket.onclose = () => {
    note('The connection is lost. Connecting again …')
    waiting.clear()
    setTimeout(connect, 1000)
  }
}

const tell = (order) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(order))

function hear(said) {
  switch (said.type) {
    case 'serving':
      return serve(said)
    case 'history':
      at('messages').replaceChildren()
      return said.messages.forEach(show)
    case 'message':
      return show(said.message)
    case 'people':
      at('people').textContent = said.names.join(', ')
      return
    case 'pong':
      return beat(said)
  }
}

function serve(said) {
  const before = serving
  serving = said
  document.documentElement.dataset.release = said.release.includes('2') ? '2' : '1'
  at('badge').textContent = said.release
  for (const key of ['release', 'process', 'generation', 'node']) at(key).textContent = said[key]
  at('upgrade').hidden = said.control === null
  at('upgrade').textContent = said.release.includes('2') ? 'Back to chat 1.0' : 'Upgrade to chat 2.0'
  if (before === undefined || before.generation === said.generation) return
  note(`${before.release} in process ${before.process} has handed over to ${said.release} in process ${said.process}.`)
  for (const like of document.querySelectorAll('.like')) like.hidden = !isLiked()
}

function show(message) {
  const item = at(`message-${message.id}`) ?? document.createElement('li')
  const isNew = !item.isConnected
  const like = element('button', 'like', `♥ ${message.likes || ''}`)
  like.type = 'button'
  like.hidden = !isLiked()
  like.title = 'Like'
  like.onclick = () => tell({ type: 'like', id: message.id })
  const time = element('time', '', new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
  const last = element('span', '')
  last.append(like, ' ', time)
  item.id = `message-${message.id}`
  item.replaceChildren(element('span', 'from', message.from), element('span', 'said', message.text), last)
  if (isNew) append(item)
}

function note(text) {
  append(element('li', 'note', text))
}

function append(item) {
  const list = at('messages')
  list.append(item)
  list.scrollTop = list.scrollHeight
}

function log(...parts) {
  const item = element('li', '')
  item.append(...parts)
  at('log').prepend(item)
}

function element(name, className, text = '') {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

function ping() {
  if (socket.readyState !== WebSocket.OPEN || document.hidden) return
  const n = ++pings
  waiting.set(n, performance.now())
  const bar = document.createElement('i')
  bar.id = `beat-${n}`
  bar.className = 'late'
  at('pulse').append(bar)
  while (at('pulse').childElementCount > PULSE) at('pulse').firstElementChild.remove()
  tell({ type: 'ping', n })
}

function beat({ n, generation }) {
  const sentAt = waiting.get(n)
  if (sentAt === undefined) return
  waiting.delete(n)
  const ms = performance.now() - sentAt
  at('latency').textContent = `${ms.toFixed(1)} ms`
  const bar = at(`beat-${n}`)
  if (bar === null) return
  bar.className = generation % 2 === 0 ? 'even' : 'odd'
  // By the logarithm: a pause of a few milliseconds is to be seen beside answers of one.
  bar.style.height = `${Math.min(100, 6 + 30 * Math.log10(1 + ms))}%`
}

at('form').onsubmit = (event) => {
  event.preventDefault()
  tell({ type: 'say', text: at('text').value })
  at('text').value = ''
}

at('name').onchange = () => {
  localStorage.setItem('name', at('name').value)
  tell({ type: 'name', name: at('name').value || 'guest' })
}

at('upgrade').onclick = async () => {
  at('upgrade').disabled = true
  try {
    const answer = await fetch(serving.control, { method: 'POST' })
    const result = await answer.json()
    if (!answer.ok) throw new Error(result.error)
    const { outcome, sessions, pauseMs } = result
    log(element('b', '', outcome), ` ${sessions.moved} moved, ${sessions.dropped} dropped, pause ${pauseMs} ms`)
  } catch (error) {
    log(element('b', '', 'failed'), ` ${error.message}`)
  }
  at('upgrade').disabled = false
}

at('name').value = localStorage.getItem('name') ?? ''
connect()
setInterval(ping, PING_EVERY_MS)
