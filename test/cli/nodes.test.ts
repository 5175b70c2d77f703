/** `--node 24`: what is asked for, where it is looked for, and that a folder's name is not believed. */
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { findNode, listNodes } from '../../src/cli/nodes/index.js'
import { installedNodes } from '../../src/cli/nodes/installed.js'
import { wantedOf } from '../../src/cli/nodes/wanted.js'
import { runCli } from '../harness/cli.js'

const usage = { code: 'HANDOVER_USAGE' }
const own = process.versions.node
const [ownMajor] = own.split('.')

t.test('a version, by whatever name', async (t) => {
  for (const [text, range] of [
    ['24', '>=24.0.0 <25.0.0-0'],
    ['v24', '>=24.0.0 <25.0.0-0'],
    ['24.9.0', '24.9.0'],
    ['v24.9.0', '24.9.0'],
    ['24.x', '>=24.0.0 <25.0.0-0'],
    ['>=22', '>=22.0.0'],
    ['jod', '^22.0.0'],
    ['lts/jod', '^22.0.0'],
    ['LTS/Krypton', '^24.0.0'],
    ['lts/*', '^20.0.0 || ^22.0.0 || ^24.0.0 || ^26.0.0'],
    ['latest', '*'],
    ['node', '*'],
  ])
    t.match(wantedOf(text!), { kind: 'range', range })
})

t.test('a path, or a file that names a version', async (t) => {
  const folder = t.testdir({
    '.nvmrc': '# for the team\n\nv24.9.0\n',
    '.node-version': 'lts/jod',
    '.empty': '',
    '.words': 'twenty-four',
    wrapper: '#!/bin/sh\nexec node "$@"\n',
    bin: {},
  })
  t.same(wantedOf('.nvmrc', folder), { kind: 'range', range: '24.9.0', named: 'v24.9.0 (.nvmrc)' })
  t.match(wantedOf('./.node-version', folder), { kind: 'range', range: '^22.0.0' })
  t.same(wantedOf(process.execPath), { kind: 'path', path: process.execPath })
  t.same(wantedOf('./wrapper', folder), { kind: 'path', path: join(folder, 'wrapper') })
  t.same(wantedOf('node24'), { kind: 'path', path: 'node24' }, 'a name is looked for in PATH, as ever')
  t.throws(() => wantedOf('./bin', folder), {
    ...usage,
    message: /is a folder; name the binary in it, such as \.\/bin\/bin\/node/,
  })
  t.same(
    wantedOf('.none', folder),
    { kind: 'path', path: join(folder, '.none') },
    'who starts it says that it is not there',
  )
  t.throws(() => wantedOf('.empty', folder), { ...usage, message: /the file says "", which is no version/ })
  t.throws(() => wantedOf('.words', folder), { ...usage, message: /"twenty-four"/ })
})

/** A binary that says it is that version. */
function put(path: string, version: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\necho v${version}\n`)
  chmodSync(path, 0o755)
}

t.test('the folders of the version managers', async (t) => {
  const home = t.testdir({})
  const places = {
    '.nvm/versions/node/v21.1.0/bin/node': '21.1.0',
    '.local/share/fnm/node-versions/v21.2.0/installation/bin/node': '21.2.0',
    '.fnm/node-versions/v21.3.0/installation/bin/node': '21.3.0',
    '.volta/tools/image/node/21.4.0/bin/node': '21.4.0',
    '.asdf/installs/nodejs/21.5.0/bin/node': '21.5.0',
    '.local/share/mise/installs/node/21.6.0/bin/node': '21.6.0',
    '.nodenv/versions/21.7.0/bin/node': '21.7.0',
    '.local/share/pnpm/nodejs/21.8.0/bin/node': '21.8.0',
    '.cache/handover/node/v21.9.0/bin/node': '21.9.0',
    'n/n/versions/node/21.10.0/bin/node': '21.10.0',
    'bin/node': '21.11.0',
  }
  for (const [path, version] of Object.entries(places)) put(join(home, path), version)
  // What is not to be taken: another name for one of them, a folder that lies, one that is damaged, one that is empty.
  symlinkSync('21.6.0', join(home, '.local/share/mise/installs/node/21'))
  symlinkSync('v21.1.0', join(home, '.nvm/versions/node/v21.1.1'))
  put(join(home, '.nvm/versions/node/v23.0.0/bin/node'), '21.0.5')
  put(join(home, '.nvm/versions/node/v23.1.0/bin/node'), '23.1.0')
  writeFileSync(join(home, '.nvm/versions/node/v23.1.0/bin/node'), 'damaged')
  mkdirSync(join(home, '.nvm/versions/node/v23.2.0'))
  const environment = { HOME: home, N_PREFIX: join(home, 'n'), PATH: `${home}/bin:${process.env['PATH']}` }

  const listed = await listNodes(environment)
  const ours = listed.filter(({ path }) => path.startsWith(home))
  t.same(
    ours.map(({ version }) => version),
    [
      '21.11.0',
      '21.10.0',
      '21.9.0',
      '21.8.0',
      '21.7.0',
      '21.6.0',
      '21.5.0',
      '21.4.0',
      '21.3.0',
      '21.2.0',
      '21.1.0',
      '21.0.5',
    ],
    'each once, the newest first, by what it says itself',
  )
  t.match(
    listed.find(({ path }) => path === process.execPath),
    { version: own, from: 'this one' },
  )
  const find = (text: string) => findNode(text, () => t.fail('fetches'), environment)
  t.equal(await find('21'), join(home, 'bin/node'))
  t.equal(await find('~21.5.0'), join(home, '.asdf/installs/nodejs/21.5.0/bin/node'))
  t.equal(await find(own), process.execPath)
  rmSync(join(home, 'bin/node'))
  t.equal(await find('21'), join(home, 'n/n/versions/node/21.10.0/bin/node'))
  t.ok(installedNodes({}).length >= 1, 'without any variable')
})

t.test('a version nobody has', async (t) => {
  const home = t.testdir({})
  const nowhere = { HOME: home, npm_config_registry: 'http://127.0.0.1:1', npm_config_fetch_retries: '0' }
  const { code, stderr } = await runCli(['node', '21.99.0'], nowhere)
  t.equal(code, 1)
  t.match(stderr, /^handover: Node 21\.99\.0 is not on this machine; npm fetches it\n/)
  t.match(
    stderr,
    /no Node 21\.99\.0 is installed, and the npm registry's node-\w+-\w+ did not give it: npm error.*ECONNREFUSED/,
  )
  t.match(stderr, /"handover node" lists those of this machine/)
  const offline = await runCli(['node', '--offline', '21.99.0'], nowhere)
  t.match(offline, { code: 1, stderr: /^handover: no Node 21\.99\.0 is on this machine\./ })
  t.same(await runCli(['node', ownMajor!, '--json'], nowhere), {
    code: 0,
    stdout: `${JSON.stringify({ node: process.execPath })}\n`,
    stderr: '',
  })
  t.match((await runCli(['node'], nowhere)).stdout, `${own}  this one`)
})
