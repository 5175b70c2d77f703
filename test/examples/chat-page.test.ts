/** `npm start`: the page in a real browser, before, during and after upgrades. */
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { type Child, startNode } from '../harness/child.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const CHROMIUM = process.env['HANDOVER_CHROMIUM'] ?? '/usr/bin/chromium'
/** A folder: what the page looks like is kept there, for the docs. */
const PICTURES = process.env['HANDOVER_PICTURES']
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
const MORE = ['--disable-component-update', '--disable-sync', '--disable-dev-shm-usage']

interface Opened {
  readonly page: Page
  /** How many WebSockets the page has made. */
  readonly sockets: () => number
  readonly errors: string[]
}

async function open(browser: Browser, url: string, name: string, scheme: 'light' | 'dark'): Promise<Opened> {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 1100, height: 700 } })
  const page = await context.newPage()
  page.setDefaultTimeout(scaled(20_000))
  let sockets = 0
  const errors: string[] = []
  page.on('websocket', () => void sockets++)
  page.on('pageerror', (error) => void errors.push(error.message))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  await page.goto(url)
  await page.locator('#release:has-text("chat")').waitFor()
  await page.locator('#name').fill(name)
  await page.locator('#name').blur()
  await page.locator(`#people:has-text("${name}")`).waitFor()
  return { page, sockets: () => sockets, errors }
}

async function say({ page }: Opened, text: string): Promise<void> {
  await page.locator('#text').fill(text)
  await page.locator('#text').press('Enter')
  await page.locator(`#messages .said:has-text("${text}")`).waitFor()
}

const said = ({ page }: Opened): Promise<string[]> => page.locator('#messages .said').allTextContents()

async function start(t: Test): Promise<{ child: Child; url: string; browser: Browser }> {
  const child = startNode(t, 'examples/start.js', ['--serve'], { env: { PORT: '0' } })
  const [, url] = (await child.line(/The chat is up: {2}(http:\S+)/)) as unknown as [string, string]
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...ARGS, ...MORE] })
  t.teardown(() => browser.close())
  return { child, url, browser }
}

t.test(
  'type, upgrade, type: the same WebSocket, the same session, the whole history',
  { skip: !existsSync(CHROMIUM) && `${CHROMIUM} is not there` },
  async (t) => {
    const { child, url, browser } = await start(t)
    const ada = await open(browser, url, 'ada', 'light')
    const grace = await open(browser, url, 'grace', 'dark')
    const of = (what: string) => ada.page.locator(`#${what}`).textContent()
    const before = { release: await of('release'), process: await of('process'), generation: await of('generation') }
    t.match(before, { release: 'chat 1.0', generation: '1' })
    await say(ada, 'Are you still there after the upgrade?')
    await say(grace, 'I did not even notice the last one.')

    await ada.page.locator('#upgrade').click()
    for (const { page } of [ada, grace]) await page.locator('#release:has-text("chat 2.0")').waitFor()
    await ada.page.locator('#log:has-text(" 0 dropped")').waitFor()
    t.equal(await of('generation'), '2')
    t.not(await of('process'), before.process)
    await say(grace, 'Yes. Same socket, new code: now there are likes.')
    await say(ada, 'And nobody had to reconnect.')
    await ada.page.locator('#messages li:has-text("Same socket") .like').click()
    await grace.page.locator('#messages li:has-text("Same socket") .like:has-text("1")').waitFor()
    const all = [
      'Are you still there after the upgrade?',
      'I did not even notice the last one.',
      'Yes. Same socket, new code: now there are likes.',
      'And nobody had to reconnect.',
    ]
    for (const one of [ada, grace]) t.same(await said(one), all)
    t.equal(await of('people'), 'ada, grace', 'who they are has moved, too')
    // The picture shows both colours in the strip of answers.
    await ada.page.locator('.pulse .even').nth(12).waitFor({ state: 'attached' })
    await pictures(ada, grace)

    await ada.page.locator('#upgrade').click()
    for (const { page } of [ada, grace]) await page.locator('#release:has-text("chat 1.0")').waitFor()
    await say(ada, 'Back again.')
    t.same(await said(grace), [...all, 'Back again.'])
    const late = await open(browser, url, 'late', 'light')
    t.same(await said(late), [...all, 'Back again.'], 'the history is there for who comes now')
    t.same(
      [ada, grace, late].map(({ sockets }) => sockets()),
      [1, 1, 1],
      'no page has connected twice',
    )
    t.same(
      [ada, grace, late].flatMap(({ errors }) => errors),
      [],
    )
    await browser.close()
    t.same(await child.kill('SIGINT'), { code: 0, signal: null })
  },
)

async function pictures(ada: Opened, grace: Opened): Promise<void> {
  if (PICTURES === undefined) return
  await ada.page.screenshot({ path: `${PICTURES}/chat-light.png` })
  await grace.page.screenshot({ path: `${PICTURES}/chat-dark.png` })
  for (const [{ page }, name] of [
    [ada, 'light'],
    [grace, 'dark'],
  ] as const) {
    await page.setViewportSize({ width: 390, height: 780 })
    await page.screenshot({ path: `${PICTURES}/chat-phone-${name}.png` })
    await page.setViewportSize({ width: 1100, height: 700 })
  }
}
