import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryBounds, memoryGroups, proportionalBytes } from '../../src/sys/memory.js'

const MiB = 1024 ** 2

/** A root with these files. */
function rootWith(t: Test, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'handover-memory-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

const MOUNT_V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n'
const MOUNT_V1 = [
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755',
  '34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset',
  '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
  '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
].join('\n')
const MEMINFO = 'MemTotal:       8192 kB\nMemFree:         100 kB\nMemAvailable:   2048 kB\n'

t.test('version 2: the own group and all above it, "max" is none, unused page cache is free', async (t) => {
  const group = 'sys/fs/cgroup/system.slice/my app.service'
  const root = rootWith(t, {
    'proc/self/cgroup': '0::/system.slice/my app.service\n',
    'proc/self/mountinfo': MOUNT_V2,
    'proc/meminfo': MEMINFO,
    [`${group}/memory.max`]: `${300 * MiB}\n`,
    [`${group}/memory.current`]: `${250 * MiB}\n`,
    [`${group}/memory.stat`]: `anon 1\nfile 99\ninactive_anon 7\ninactive_file ${20 * MiB}\nactive_file 5\n`,
    'sys/fs/cgroup/system.slice/memory.max': 'max\n',
    'sys/fs/cgroup/system.slice/memory.current': '5\n',
    'sys/fs/cgroup/memory.stat': 'inactive_file 5\n',
  })
  t.strictSame(await memoryBounds(root), [
    { of: 'group', name: `/${group}/memory.max`, limitBytes: 300 * MiB, leftBytes: 70 * MiB },
    { of: 'machine', name: 'the machine (MemAvailable)', limitBytes: 8 * MiB, leftBytes: 2 * MiB },
  ])
  writeFileSync(join(root, 'sys/fs/cgroup/system.slice/memory.max'), `${MiB}`)
  t.equal((await memoryBounds(root))[1]?.name, '/sys/fs/cgroup/system.slice/memory.max', 'a limit above holds, too')
  writeFileSync(join(root, group, 'memory.max'), `${MiB}`)
  t.equal((await memoryBounds(root))[0]?.leftBytes, 0, 'never less than nothing')
})

t.test('version 1: the groups of the memory controller, its way to say that there is no limit', async (t) => {
  const root = rootWith(t, {
    'proc/self/cgroup': '9:name=systemd:/x\n4:hugetlb,memory:/pods/1\n3:cpuset:/\n0::/\n',
    'proc/self/mountinfo': MOUNT_V1,
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    'sys/fs/cgroup/memory/memory.usage_in_bytes': '1000\n',
    'sys/fs/cgroup/memory/pods/1/memory.limit_in_bytes': '1000\n',
    'sys/fs/cgroup/memory/pods/1/memory.usage_in_bytes': '900\n',
    'sys/fs/cgroup/memory/pods/1/memory.stat': 'inactive_file 3\ntotal_inactive_file 40\n',
  })
  const name = '/sys/fs/cgroup/memory/pods/1/memory.limit_in_bytes'
  t.strictSame(await memoryBounds(root), [{ of: 'group', name, limitBytes: 1000, leftBytes: 140 }])
})

t.test('a container sees its group as the root of the mount, or a path that leads out of it', async (t) => {
  const groups = '0::/docker/abc/web\n'
  const below = MOUNT_V2.replace(' / ', ' /docker/abc ')
  t.strictSame(memoryGroups(groups, below), [
    { type: 'cgroup2', folder: '/sys/fs/cgroup/web' },
    { type: 'cgroup2', folder: '/sys/fs/cgroup' },
  ])
  t.strictSame(memoryGroups('0::/../other\n', MOUNT_V2), [{ type: 'cgroup2', folder: '/sys/fs/cgroup' }])
  t.strictSame(memoryGroups('0::/\n', MOUNT_V2.replace('/sys/fs/cgroup', '/a\\040b')), [
    { type: 'cgroup2', folder: '/a b' },
  ])
})

t.test('what cannot be read is no limit', async (t) => {
  t.strictSame(await memoryBounds(rootWith(t, {})), [])
  t.strictSame(memoryGroups('', ''), [])
  t.strictSame(memoryGroups('nonsense\n0::/', 'nonsense\n - cgroup2'), [])
  const root = rootWith(t, {
    'proc/7/smaps_rollup': 'Rss: 5 kB\nPss:    271 kB\nPss_Anon: 1 kB\n',
    'proc/8/smaps_rollup': '',
  })
  t.equal(await proportionalBytes(7, root), 271 * 1024)
  t.equal(await proportionalBytes(8, root), undefined)
  t.equal(await proportionalBytes(9, root), undefined)
})

t.test('this process, on this machine', async (t) => {
  const before = (await proportionalBytes(process.pid)) ?? 0
  t.ok(before > 5 * MiB, `${before} bytes`)
  const held = Buffer.alloc(64 * MiB, 1)
  t.ok(((await proportionalBytes(process.pid)) ?? 0) > before + 60 * MiB, 'and what it takes is in it')
  t.equal(held[0], 1)
  const machine = (await memoryBounds()).find(({ of }) => of === 'machine')
  t.ok(machine !== undefined && machine.leftBytes > 0 && machine.leftBytes < machine.limitBytes)
})
