import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { crc32 } from 'node:zlib'
import { skipUnless } from './support/require.js'

/** The command as it is installed, with the code of its bundles (docs/decisions/0023-code-cache.md). */
describe('sluice, installed', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const folder = mkdtempSync(join(tmpdir(), 'sluice-launch-'))
  const bin = join(folder, 'dist/bin')
  const code = join(bin, 'code')

  before(() => {
    for (const part of ['package.json', 'dist/bin', 'dist/engine.wasm'])
      cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  })
  after(() => rmSync(folder, { recursive: true }))

  const run = (args: string[], { env = {}, wrapper = [] as string[], flags = [] as string[] } = {}) => {
    const [command, ...rest] = [...wrapper, process.execPath, ...flags, join(bin, 'sluice.cjs'), ...args]
    const { status, stdout, stderr } = spawnSync(command!, rest, {
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', ...env },
    })
    return { status, stdout, stderr }
  }
  const compile = ['compile', 'udp dst port 53']
  const off = { env: { SLUICE_CODE_CACHE: 'off' } }
  const empty = () => rmSync(code, { recursive: true, force: true })
  const entries = () => readdirSync(code).sort()
  /** Whether V8 takes what lies there for this bundle. */
  const isTaken = (bundle: string, entry: string) => {
    const source = readFileSync(join(bin, `${bundle}.cjs`), 'latin1')
    // Behind the code is its checksum.
    return !new Script(source, { cachedData: readFileSync(join(code, entry)).subarray(0, -4) }).cachedDataRejected
  }

  test('what V8 has compiled is left for the next command, and is taken', () => {
    empty()
    const plain = run(compile, off)
    assert.equal(plain.status, 0, plain.stderr)
    assert.throws(() => readdirSync(code))
    assert.deepEqual(run(compile), plain)
    const [entry, ...more] = entries()
    assert.deepEqual(more, [])
    assert.match(entry!, new RegExp(`^asking-[0-9a-f]{16}-node-${process.version}-${process.arch}$`))
    assert.ok(isTaken('asking', entry!))
    const before = statSync(join(code, entry!))
    assert.deepEqual(run(compile), plain)
    assert.equal(statSync(join(code, entry!)).mtimeMs, before.mtimeMs)
  })

  test('statuses and sentences are the same with and without it, and so is what is loaded late', () => {
    const policy = join(folder, 'policy.yaml')
    writeFileSync(policy, 'rules:\n  - { match: udp, acton: drop }\n')
    for (const [status, ...args] of [
      [0, '--version'],
      [0, '--help'],
      [2],
      [2, 'no-such-command'],
      [2, 'compile', 'udp dst prot 53'],
      [2, 'compile', policy],
      [2, 'drop', 'udp', '--on', 'no-such-device'],
      [2, 'protect', 'no-such-device', '--policy', policy],
      [2, 'generate', 'syn', '--on', 'no-such-device'],
    ] as [number, ...string[]][]) {
      const plain = run(args, off)
      assert.equal(plain.status, status, `${args}: ${plain.stderr}`)
      assert.deepEqual(run(args), plain)
      assert.deepEqual(run(args), plain)
    }
  })

  test('code that V8 refuses stays where it is, and the command does its work', () => {
    empty()
    const plain = run(compile)
    const [entry] = entries()
    const path = join(code, entry!)
    const whole = readFileSync(path)
    const ofOtherVersion = Buffer.from(whole)
    // The second word of V8's header is a hash of its version.
    ofOtherVersion.writeUInt32LE(~whole.readUInt32LE(4) >>> 0, 4)
    ofOtherVersion.writeUInt32LE(crc32(ofOtherVersion.subarray(0, -4)), whole.length - 4)
    writeFileSync(path, ofOtherVersion)
    assert.deepEqual(run(compile), plain)
    assert.deepEqual(readFileSync(path), ofOtherVersion)
    writeFileSync(path, whole)
    // Other flags are another V8.
    assert.deepEqual(run(compile, { flags: ['--no-opt'] }), plain)
    assert.deepEqual(readFileSync(path), whole)
  })

  test('code that is damaged is not run, wherever that is, and is made anew', () => {
    empty()
    const plain = run(compile)
    const [entry] = entries()
    const path = join(code, entry!)
    const whole = readFileSync(path)
    const flipped = Array.from({ length: 16 }, (_, part) => {
      const damaged = Buffer.from(whole)
      damaged[Math.floor(((part + 0.5) * whole.length) / 16)]! ^= 0x10
      return damaged
    })
    for (const bad of [...flipped, whole.subarray(0, whole.length >> 1), Buffer.alloc(0), Buffer.from('no code')]) {
      writeFileSync(path, bad)
      assert.deepEqual(run(compile), plain)
      assert.ok(isTaken('asking', entry!))
      assert.notDeepEqual(readFileSync(path), bad)
    }
  })

  test('code of another build is not taken, and goes', () => {
    empty()
    const plain = run(compile)
    const [old] = entries()
    const bundle = join(bin, 'asking.cjs')
    const source = readFileSync(bundle, 'latin1')
    try {
      // As long as before, which is all that V8 compares.
      writeFileSync(bundle, source.replace(/^\/\* \w{16}/, '/* 0123456789abcdef').replace("'matches", "'MATCHES"))
      assert.deepEqual(run(compile), plain)
      const [entry, ...more] = entries()
      assert.deepEqual(more, [])
      assert.match(entry!, /^asking-0123456789abcdef-/)
      assert.notEqual(entry, old)
    } finally {
      writeFileSync(bundle, source)
    }
  })

  test('koffi is found where its binary lies in a folder of its own', () => {
    const apart = join(folder, 'apart')
    mkdirSync(join(apart, 'node_modules'), { recursive: true })
    for (const part of ['package.json', 'dist']) cpSync(join(folder, part), join(apart, part), { recursive: true })
    // As pnpm lays packages out: what koffi needs is found from where it really is.
    symlinkSync(join(root, 'node_modules/koffi'), join(apart, 'node_modules/koffi'))
    const drop = ['drop', 'udp', '--on', 'no-such-device']
    const { status, stderr } = spawnSync(process.execPath, [join(apart, 'dist/bin/sluice.cjs'), ...drop])
    assert.equal(status, 2, String(stderr))
    assert.match(String(stderr), /^sluice: there is no network device "no-such-device"/)
  })

  test('a bundle is ASCII, as it is read', () => {
    for (const name of readdirSync(bin).filter((file) => file.endsWith('.cjs') && file !== 'sluice.cjs'))
      assert.ok(!/[^\0-\x7f]/.test(readFileSync(join(bin, name), 'latin1')), name)
  })

  describe('in a folder that is not the user’s', { skip: skipUnless('root') }, () => {
    const nobody = 65534

    test('nothing is written, though it could be', () => {
      empty()
      chownSync(bin, nobody, nobody)
      try {
        assert.equal(run(compile).status, 0)
        assert.throws(() => readdirSync(code))
      } finally {
        chownSync(bin, 0, 0)
      }
    })

    test('nothing is written where it cannot be, and what is there is taken', () => {
      const asNobody = { wrapper: ['setpriv', `--reuid=${nobody}`, '--clear-groups', '--bounding-set=-all'] }
      // Such a user does not see root's own folders.
      spawnSync('chmod', ['755', folder])
      empty()
      const plain = run(compile, asNobody)
      assert.deepEqual([plain.status, plain.stderr], [0, ''])
      assert.throws(() => readdirSync(code))
      mkdirSync(code)
      assert.deepEqual(run(compile), plain)
      assert.deepEqual(run(compile, asNobody), plain)
    })
  })
})
