/** README and --help name the same verbs and options. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { EXIT } from '../../src/errors.js'
import { runCli } from '../harness/cli.js'
import { root } from './source.js'

const readme = readFileSync(`${root}README.md`, 'utf8')
const { stdout: help } = await runCli(['--help'])

/** Verbs of the table: `handover VERB …`. */
const documented = new Map(
  [...readme.matchAll(/^\| `handover (\w+)([^`]*)` \|/gm)].map(([, verb, rest]) => [verb!, rest!]),
)
const verbs = [...help.matchAll(/^ {2}(\w+) \[options\]/gm)].map(([, verb]) => verb!)

t.test('verbs', async (t) => {
  t.ok(verbs.length >= 4)
  t.same([...documented.keys()].sort(), [...verbs].sort())
})

for (const verb of verbs) {
  t.test(`options of ${verb}`, async (t) => {
    const { stdout } = await runCli([verb, '--help'])
    const inHelp = [...stdout.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, option]) => option!)
    t.ok(inHelp.length > 1)
    const inReadme = [...(documented.get(verb) ?? '').matchAll(/--[\w-]+(?=[ \]])/g)].map(([option]) => option)
    for (const option of inReadme) t.ok(inHelp.includes(option), `${option} exists`)
    // --name and --json belong to every verb; the README says so once.
    for (const option of inHelp) {
      t.ok(
        inReadme.includes(option) || (['--name', '--json'].includes(option) && readme.includes(`\`${option}`)),
        `${option} is documented`,
      )
    }
    for (const [, option, byDefault] of stdout.matchAll(/^ {2}(--[\w-]+) .*\(default: "(\d+m?s)"\)$/gm)) {
      t.match(documented.get(verb), `${option} ${byDefault}`, `${option} has the documented default`)
    }
  })
}

t.test('exit statuses, word by word', async (t) => {
  const inHelp = [...help.matchAll(/^ {2}(\d) {2}(.+)$/gm)].map(([, code, text]) => [Number(code), text])
  const inReadme = [...readme.matchAll(/^\| (\d) \| (.+) \|$/gm)].map(([, code, text]) => [
    Number(code),
    text!.replaceAll('`', ''),
  ])
  t.same(inReadme, inHelp)
  t.same(
    inReadme.map(([code]) => code),
    Object.values(EXIT),
  )
})
