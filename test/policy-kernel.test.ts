import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { policySource } from '../src/control/policy-source.js'
import { alu64, assemble, exit, jumpIf, label, mov64, POLICY_COUNTERS, R0, XDP } from '../src/ebpf/index.js'
import { testRun } from '../src/kernel/index.js'
import { LoadError, type LoadedPolicy, loadPolicy, loadProgram, type PolicySource } from '../src/loader/index.js'
import {
  count,
  divert,
  drop,
  forward,
  limit,
  mark,
  type Policy,
  pass,
  policy,
  type Rule,
  readSet,
  sample,
  steer,
} from '../src/policy/index.js'
import { skipUnless } from './support/require.js'

const [DROP, PASS, REDIRECT] = [1, 2, 4]
const NOTHING_OVER = { overPackets: 0, overBytes: 0 }

const opened = new Set<LoadedPolicy>()

function sourceOf(...rules: readonly Rule[]): PolicySource {
  return sourceOfPolicy(policy(...rules))
}

function sourceOfPolicy(value: Policy): PolicySource {
  return policySource(value, { sets: new Map(), interfaceIndex: () => 1 })
}

function load(...rules: readonly Rule[]): LoadedPolicy {
  return loadSource(sourceOf(...rules))
}

function loadSource(source: PolicySource): LoadedPolicy {
  const loaded = loadPolicy(source)
  opened.add(loaded)
  return loaded
}

/** UDP from 10.0.0.`host` to port 53, 60 bytes. */
function udp(host = 1): Uint8Array {
  const frame = new Uint8Array(60)
  frame.set([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 192, 0, 2, 9, 3, 232, 0, 53], 12)
  return frame
}

/** UDP from 2001:db8::1, 62 bytes. */
function udp6(): Uint8Array {
  const frame = new Uint8Array(62)
  frame.set([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64, 0x20, 1, 0x0d, 0xb8], 12)
  frame[37] = 1
  return frame
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** Has the descriptor `fd` mean another file: the lowest number that is free is the one that was closed last. */
function putInPlaceOf(fd: number, path: string): void {
  const others: number[] = []
  do others.push(openSync(path, 'r'))
  while (others.at(-1)! < fd)
  closeSync(fd)
  assert.equal(openSync(path, 'r'), fd)
  for (const other of others) closeSync(other)
}

/** As long as they come: of a limit of 8 bit/s each takes 25 minutes. */
function long(host: number): Uint8Array {
  const frame = new Uint8Array(1514)
  frame.set(udp(host))
  return frame
}

function run({ program }: LoadedPolicy, frame: Uint8Array, repeat = 1): number {
  return testRun({ fd: program.fd, data: frame, repeat }).retval
}

describe('a policy in the kernel', { skip: skipUnless('root') }, () => {
  after(() => {
    for (const loaded of opened) loaded.close()
  })

  it('has what passes go on to the program behind it at the device, also once it is replaced', () => {
    const behind = loadProgram({
      ...{ name: 'behind', type: 'xdp', license: 'GPL', multiBuffer: true, maps: [] },
      ...assemble([mov64(R0, XDP.tx), exit()]),
    })
    /** A test run is as if loopback had received the packet. */
    const LOOPBACK = 1
    const sourceBehind = (...rules: readonly Rule[]) =>
      policySource(policy(...rules), { sets: new Map(), interfaceIndex: () => 1, behind: [LOOPBACK + 1, LOOPBACK] })
    const loaded = loadSource(sourceBehind())
    try {
      assert.equal(run(loaded, udp()), XDP.pass, 'to the kernel where nothing is behind')
      loaded.putBehind(1, behind)
      assert.throws(() => loaded.putBehind(2, behind), /^RangeError: the policy has no device 2 with a program behind/)
      assert.throws(() => load().putBehind(0, behind), RangeError)
      const verdicts: [verdict: number, rules: readonly Rule[]][] = [
        [XDP.tx, []],
        [XDP.tx, [pass('udp')]],
        [XDP.tx, [drop('tcp')]],
        [XDP.drop, [drop('udp')]],
        // No packet passes, and then some do again.
        [XDP.drop, [drop('')]],
        [XDP.tx, [drop('udp', { mode: 'shadow' }), count('udp')]],
        [XDP.tx, [limit('udp', { per: 'source', rate: '1 pps' })]],
        [XDP.tx, [pass('udp', { for: '1h' })]],
        [XDP.drop, [count('udp'), drop('udp', { for: '1h' })]],
        [XDP.tx, [mark('udp', { value: 3 }), sample('udp', { oneIn: 1 })]],
        // Lists that become tables.
        [XDP.drop, Array.from({ length: 50 }, (_, port) => drop(`udp dst port ${port + 10}`))],
        [XDP.tx, Array.from({ length: 50 }, (_, port) => drop(`udp dst port ${port + 60}`))],
      ]
      for (const [verdict, rules] of verdicts) {
        loaded.replace(sourceBehind(...rules))
        assert.equal(run(loaded, udp()), verdict, JSON.stringify(rules))
      }
    } finally {
      behind.close()
    }
  })

  it('gives everything of an old version back, and keeps older counts, where its counters cannot be read', () => {
    const seen = count('udp', { name: 'seen' })
    const others = (length: number) => Array.from({ length }, (_, port) => drop(`tcp port ${port + 1}`))
    const before = openDescriptors()
    const loaded = load(seen)
    run(loaded, udp(), 5)
    // So many rules that slots, and with them counters, are made anew.
    loaded.replace(sourceOf(seen, ...others(100)))
    assert.equal(loaded.counts()[0]!.packets, 5)
    const held = openDescriptors()
    putInPlaceOf(loaded.program.maps.get(POLICY_COUNTERS)!.fd, '/dev/null')
    assert.throws(() => loaded.replace(sourceOf(seen, ...others(300))), /KernelError/)
    assert.equal(openDescriptors(), held)
    run(loaded, udp(), 2)
    assert.equal(loaded.counts()[0]!.packets, 7)
    loaded.close()
    assert.equal(openDescriptors(), before)
  })

  it('loads with every action, enforced and shadowed, with and without an end', () => {
    const packets = { rate: '1000 pps', burst: 100 } as const
    const bytes = { rate: '10 Mbit/s', burst: 20_000 } as const
    const scopes = ['rule', 'source', 'destination', 'flow'] as const
    const everyAction = (options: { mode: 'enforce' | 'shadow'; for?: string }) => [
      count('udp', options),
      sample('tcp', { ...options, oneIn: 100, bytes: 64 }),
      sample('tcp', { ...options, oneIn: 1, bytes: 200 }),
      mark('ip6', { ...options, value: 7 }),
      ...scopes.map((per) => limit('port 1', { ...options, per, ...packets })),
      ...scopes.map((per) => limit('port 2 and greater 100', { ...options, per, ...bytes })),
      limit('port 3', { ...options, per: 'source-prefix', prefix: { v4: 24, v6: 56 }, ...packets }),
      divert('port 4', options),
      steer('port 5', { ...options, cpu: 0 }),
      forward('port 6', { ...options, device: 'lo' }),
      pass('port 7', options),
      drop('port 8', options),
    ]
    const rules = (['enforce', 'shadow'] as const).flatMap((mode) => [
      ...everyAction({ mode }),
      ...everyAction({ mode, for: '10m' }),
    ])
    const loaded = load(...rules.map((rule, index) => ({ ...rule, name: `${index}` })))
    assert.equal(run(loaded, udp()), PASS)
    assert.deepEqual(loaded.counts()[0], { packets: 1, bytes: 60, ...NOTHING_OVER })
  })

  it('keeps a rate by the kernel’s clock', () => {
    const loaded = load(limit('udp', { per: 'source', rate: '1 pps', burst: 5 }))
    const start = performance.now()
    const verdicts = Array.from({ length: 20 }, () => run(loaded, udp()))
    assert.deepEqual(verdicts.slice(0, 5), [PASS, PASS, PASS, PASS, PASS])
    // One more for each second that the machine may have been elsewhere.
    const passed = verdicts.filter((verdict) => verdict === PASS).length
    assert.ok(passed <= 5 + 1 + (performance.now() - start) / 1000, `${passed} passed`)
    assert.equal(run(loaded, udp(2)), PASS)
    const { packets, overPackets, overBytes } = loaded.counts()[0]!
    assert.equal(packets, 21)
    assert.equal(overPackets, verdicts.filter((verdict) => verdict === DROP).length)
    assert.equal(overBytes, overPackets * 60)
  })

  it('ends rules without anybody’s help, and an end can be moved', async () => {
    const loaded = load(drop('udp', { name: 'short', for: '10m' }), count('udp', { name: 'rest' }))
    assert.equal(run(loaded, udp()), DROP)
    loaded.setEnd('short', 30)
    await sleep(60)
    assert.equal(run(loaded, udp()), PASS)
    loaded.setEnd('short', null)
    assert.equal(run(loaded, udp()), DROP)
    assert.deepEqual(
      loaded.counts().map(({ packets }) => packets),
      [2, 1],
    )
    assert.throws(() => loaded.setEnd('rest', 5), /"rest".*lifetime/)
    assert.throws(() => loaded.setEnd('nobody', 5), /"nobody"/)
  })

  it('hands samples over with the first bytes, and counts those that found no room', () => {
    const rules = [sample('udp', { name: 'some', oneIn: 1, bytes: 40 }), drop('udp')]
    const loaded = loadSource(sourceOfPolicy(policy({ tables: { samples: { bytes: 4096 } } }, ...rules)))
    assert.equal(run(loaded, udp(7)), DROP)
    const [first, ...others] = loaded.readSamples(10)
    assert.deepEqual(others, [])
    assert.deepEqual([first!.rule, first!.wireLength, first!.bytes], ['some', 60, udp(7).subarray(0, 40)])
    assert.ok(Math.abs(Number(process.hrtime.bigint()) - first!.timeNs) < 60e9)

    for (let sent = 0; sent < 100; sent++) run(loaded, udp(sent))
    const kept = [...loaded.readSamples(3), ...loaded.readSamples(1000)]
    assert.deepEqual(
      kept.map(({ bytes }) => bytes[29]),
      kept.map((_, index) => index),
    )
    assert.equal(kept.length + loaded.losses().samples, 100)
    assert.ok(kept.length > 40 && kept.length < 60, 'a record has 72 bytes of 4096')
    run(loaded, udp(9))
    assert.equal(loaded.readSamples(10)[0]!.bytes[29], 9, 'room again, and beyond the end of the ring')
  })

  it('draws one in N', () => {
    const loaded = load(sample('udp', { oneIn: 10, bytes: 14 }))
    run(loaded, udp(), 10_000)
    const drawn = loaded.readSamples(100_000).length + loaded.losses().samples
    // Ten standard deviations of the binomial distribution.
    assert.ok(drawn > 700 && drawn < 1300, `${drawn} of 10,000`)
  })

  it('steers and forwards to what is there, and passes what has no socket', () => {
    const loaded = load(
      steer('src host 10.0.0.1', { cpu: 0 }),
      forward('src host 10.0.0.2', { device: 'lo' }),
      divert('src host 10.0.0.3', {}),
    )
    assert.deepEqual([run(loaded, udp(1)), run(loaded, udp(2)), run(loaded, udp(3))], [REDIRECT, REDIRECT, PASS])
  })
})

describe('a policy that is replaced', { skip: skipUnless('root') }, () => {
  it('says with which rule it becomes too large, and what helps', () => {
    const source = sourceOf(count('udp', { name: 'small' }), drop('tcp', { name: 'the last straw' }))
    // Ten million turns, which the verifier follows one by one until it has had enough.
    const { instructions } = assemble([
      mov64(R0, 0),
      label('again'),
      alu64('add', R0, 1),
      jumpIf(R0, '<', 10_000_000, 'again'),
      exit(),
    ])
    const tooLarge: PolicySource = {
      ...source,
      compile(slots, capacity) {
        const program = source.compile(slots, capacity)
        return slots.length < 2 ? program : { ...program, instructions, relocations: [] }
      },
    }
    assert.throws(
      () => loadPolicy(tooLarge),
      (error) => error instanceof LoadError && /rule 2, "the last straw".*too large.*set/.test(error.message),
    )
  })

  it('carries counters, ends and buckets of rules that stay, wherever they stand now', async () => {
    const stays = drop('src host 10.0.0.1', { name: 'stays' })
    const ends = count('udp', { name: 'ends', for: '10m' })
    const bucket = limit('src host 10.0.0.2', { name: 'bucket', per: 'source', rate: '8 bit/s', burst: 1514 })
    const loaded = load(stays, ends, bucket)
    for (const host of [1, 1, 2, 2, 3]) run(loaded, long(host))
    loaded.setEnd('ends', 30)
    loaded.replace(sourceOf(count('tcp', { name: 'new' }), bucket, ends, stays))
    assert.deepEqual(
      loaded.counts().map(({ packets, overPackets }) => [packets, overPackets]),
      [
        [0, 0],
        [2, 1],
        [3, 0],
        [2, 0],
      ],
    )
    assert.equal(run(loaded, long(2)), DROP, 'the bucket is still empty')
    await sleep(60)
    run(loaded, long(3))
    assert.deepEqual(loaded.counts()[2]!.packets, 3, 'it has ended when it was to end at first')
  })

  it('begins at zero for a rule whose text has changed, and for one that comes back', () => {
    const before = count('udp', { name: 'x' })
    const loaded = load(before)
    run(loaded, udp())
    loaded.replace(sourceOf(count('ip', { name: 'x' })))
    assert.equal(loaded.counts()[0]!.packets, 0)
    loaded.replace(sourceOf(before))
    assert.equal(loaded.counts()[0]!.packets, 0)
  })

  it('counts on when its maps have to grow, or their places are used up', () => {
    const first = count('udp', { name: 'first' })
    const loaded = load(first)
    let sent = 0
    for (let version = 0; version < 12; version++) {
      const others = Array.from({ length: 20 * version }, (_, index) => drop('tcp', { name: `${version}-${index}` }))
      loaded.replace(sourceOf(...others, first))
      run(loaded, udp(), 3)
      sent += 3
      assert.equal(loaded.counts().at(-1)!.packets, sent)
    }
  })

  it('stays as it was when the new one cannot be compiled or loaded', () => {
    const loaded = load(drop('udp', { name: 'old' }))
    run(loaded, udp())
    const fails: PolicySource = {
      ...sourceOf(pass('udp')),
      compile() {
        throw new RangeError('not this one')
      },
    }
    assert.throws(() => loaded.replace(fails), /not this one/)
    const source = sourceOf(
      count('udp', { name: 'fine' }),
      pass('tcp', { name: 'bad' }),
      drop('ip', { name: 'also fine' }),
    )
    assert.throws(
      () => loaded.replace(breakAt(source, 2)),
      (error) =>
        error instanceof LoadError &&
        /rule 2, "bad"/.test(error.message) &&
        error.log !== '' &&
        !/R\d|invalid/.test(error.message),
    )
    assert.equal(run(loaded, udp()), DROP)
    assert.equal(loaded.counts()[0]!.packets, 2)
  })
})

describe('a set of a policy in force', { skip: skipUnless('root') }, () => {
  const lines = (text: string) => readSet(Buffer.from(text), 'test')
  /** Far apart, so that neither ranges nor bitmaps make them smaller. */
  const many = (count: number) =>
    lines(Array.from({ length: count }, (_, index) => `${20 + (index & 127)}.${index >> 7}.0.1`).join('\n'))
  const value = policy(
    { sets: { good: [], bad: [], unused: [] } },
    limit('src net @good', { name: 'good', per: 'source', rate: '8 bit/s', burst: 3 * 1514 }),
    drop('src net @bad', { name: 'bad', for: '10m' }),
  )
  const loadWith = (good: string, bad: string) => {
    const sets = new Map([
      ['good', lines(good)],
      ['bad', lines(bad)],
    ])
    return loadSource(policySource(value, { sets, interfaceIndex: () => 1 }))
  }

  it('is replaced for both families; rules keep counts, ends and buckets', () => {
    const loaded = loadWith('10.0.0.1', '10.0.0.2')
    const program = loaded.program.info.id
    assert.deepEqual([run(loaded, long(1)), run(loaded, long(2)), run(loaded, udp6())], [PASS, DROP, PASS])
    loaded.replaceSet('bad', lines('10.0.0.0/24\n2001:db8::/32'))
    assert.deepEqual([run(loaded, long(1)), run(loaded, long(3)), run(loaded, udp6())], [PASS, DROP, DROP])
    assert.deepEqual([run(loaded, long(1)), run(loaded, long(1))], [PASS, DROP], 'the bucket of three is empty')
    loaded.replaceSet('bad', lines(''))
    assert.deepEqual([run(loaded, long(3)), run(loaded, udp6())], [PASS, PASS])
    assert.deepEqual(
      loaded.counts().map(({ packets }) => packets),
      [4, 3],
    )
    assert.equal(loaded.program.info.id, program)
  })

  it('is changed by what comes and goes', () => {
    const loaded = loadWith('', '10.0.0.0/30')
    loaded.changeSet('bad', { add: lines('10.0.0.9\n2001:db8::1'), remove: lines('10.0.0.2') })
    const hosts = [1, 2, 3, 9].map((host) => run(loaded, long(host)))
    assert.deepEqual([...hosts, run(loaded, udp6())], [DROP, PASS, DROP, DROP, DROP])
    loaded.changeSet('bad', { remove: lines('2001:db8::/64') })
    assert.deepEqual([run(loaded, long(9)), run(loaded, udp6())], [DROP, PASS])
    assert.throws(() => loaded.changeSet('ugly', {}), /no set "ugly"/)
  })

  it('grows by a swap that keeps what other sets were changed to', () => {
    const loaded = loadWith('', '10.0.0.2')
    loaded.setEnd('bad', null)
    loaded.replaceSet('good', lines('10.0.0.1'))
    run(loaded, long(1), 5)
    const program = loaded.program.info.id
    loaded.replaceSet('bad', many(20_000))
    assert.notEqual(loaded.program.info.id, program)
    assert.deepEqual([run(loaded, long(1)), run(loaded, long(2))], [DROP, PASS], 'good, with its bucket; no longer bad')
    assert.equal(loaded.counts()[0]!.packets, 6)
  })

  it('is named where the policy has none of that name, and may be one that no rule asks', () => {
    const loaded = loadWith('', '')
    assert.throws(() => loaded.replaceSet('ugly', lines('10.0.0.1')), /no set "ugly"/)
    loaded.replaceSet('unused', lines('10.0.0.1'))
    assert.equal(run(loaded, long(1)), PASS)
  })
})

/** As if the code generator were wrong for rule `position` (from 1): its program ends with a register that nobody wrote. */
function breakAt(source: PolicySource, position: number): PolicySource {
  return {
    ...source,
    compile(slots, capacity) {
      const program = source.compile(slots, capacity)
      if (slots.length < position) return program
      const [first, ...others] = program.instructions
      // r9 = r5, which holds nothing when a program starts.
      const copy = { opcode: 0xbf, dst: 9, src: 5, offset: 0, imm: 0 }
      const relocations = program.relocations.map(({ slot, map }) => ({ slot: slot + 1, map }))
      return { ...program, relocations, instructions: [first!, copy, ...others] }
    },
  }
}
