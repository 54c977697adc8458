import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { skipUnless } from '../../test/support/require.js'
import { frameSpec, ipv6Ranges, packetsOf, planOf } from '../../test/support/traffic.js'
import { createCapture } from '../device/index.js'
import { FrameError, type FrameSpec, frameTemplates } from './index.js'
import { parseSizes } from './sizes.js'

const skip = skipUnless('tcpdump')
const PACKETS = 300

describe('packets of the generator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-frames-'))
  after(() => rmSync(folder, { recursive: true }))

  /** What tcpdump says of a kind's packets, one text for all. */
  const seenByTcpdump = (change: Partial<FrameSpec>): string => {
    const bench = openBench()
    const packets = packetsOf(bench, planOf(frameTemplates(frameSpec(change))), PACKETS)
    assert.equal(packets.length, PACKETS)
    assert.equal(bench.inUse(), 0)
    const file = join(folder, 'packets.pcap')
    const writer = createCapture(file, { linkTypeNumber: 1, snapLength: 65535, resolution: 'nanoseconds' })
    for (const data of packets) writer.write({ data, wireLength: data.length, seconds: 0, nanoseconds: 0 })
    writer.finish()
    return execFileSync('tcpdump', ['-vvnr', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  }
  const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0

  for (const kind of ['udp', 'syn', 'dns', 'ntp', 'ssdp', 'memcached', 'chargen'] as const) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      for (const sizes of [null, '60-200', 'imix'] as const) {
        if (sizes !== null && kind !== 'udp' && kind !== 'syn') continue
        if (sizes !== null && family === 'IPv6') continue
        it(`${kind} over ${family}, ${sizes ?? 'usual size'}: tcpdump finds all checksums right`, { skip }, () => {
          const ranges = family === 'IPv6' ? ipv6Ranges() : {}
          const text = seenByTcpdump({ kind, ...ranges, ...(sizes === null ? {} : { sizes: parseSizes(sizes) }) })
          const right = kind === 'syn' ? /cksum 0x[0-9a-f]+ \(correct\)/g : /udp sum ok/g
          assert.equal(count(text, right), PACKETS, text.slice(0, 2000))
          assert.doesNotMatch(text, /bad cksum|bad udp|incorrect|truncated|malformed|\[\|/)
        })
      }
    }
  }

  it('dns and ntp are read as such answers', { skip }, () => {
    assert.equal(count(seenByTcpdump({ kind: 'dns' }), /q: TXT\? example\.test\. 1\/0\/0 example\.test\./g), PACKETS)
    assert.equal(count(seenByTcpdump({ kind: 'ntp' }), /NTPv2, Reserved, length 440/g), PACKETS)
  })

  it('fragments never become whole: first and second ones, each with an identification of its own', { skip }, () => {
    const text = seenByTcpdump({ kind: 'fragments' })
    assert.doesNotMatch(text, /bad cksum/)
    const [first, second] = [count(text, /offset 0, flags \[\+\]/g), count(text, /offset 1480, flags \[\+\]/g)]
    assert.equal(first + second, PACKETS)
    assert.ok(first > PACKETS / 3 && second > PACKETS / 3, `${first} and ${second}`)
    const ids = new Set([...text.matchAll(/ id (\d+)/g)].map(([, id]) => id))
    assert.ok(ids.size > PACKETS * 0.9, `${ids.size} identifications`)
  })

  it('addresses and ports stay in their ranges, drawn or in turn', () => {
    const ports = { sourcePorts: { first: 4000, count: 3 }, destinationPorts: { first: 7, count: 2 } }
    for (const isInTurn of [true, false]) {
      const packets = packetsOf(openBench(), planOf(frameTemplates(frameSpec({ ...ports, isInTurn }))), PACKETS)
      const values = packets.map((packet) => [packet[29]!, (packet[34]! << 8) | packet[35]!, packet[37]!])
      const wanted = (index: number) => [100 + (index % 100), 4000 + (index % 3), 7 + (index % 2)]
      if (isInTurn)
        assert.deepEqual(
          values,
          Array.from({ length: PACKETS }, (_, index) => wanted(index)),
        )
      const [sources, from, to] = [0, 1, 2].map((column) => new Set(values.map((row) => row[column]!)))
      assert.ok(sources!.size > 80 && [...sources!].every((last) => last >= 100 && last < 200))
      assert.deepEqual(
        [[...from!].sort(), [...to!].sort()],
        [
          [4000, 4001, 4002],
          [7, 8],
        ],
      )
    }
  })

  it('refuses what cannot be a frame', () => {
    const refused = (change: Partial<FrameSpec>, message: RegExp) =>
      assert.throws(
        () => frameTemplates(frameSpec(change)),
        (error) => error instanceof FrameError && message.test(error.message),
      )
    refused({ kind: 'fragments', ...ipv6Ranges() }, /IPv4 only/)
    refused({ ...ipv6Ranges(), sizes: parseSizes('60') }, /needs 62 bytes/)
    refused({ sources: ipv6Ranges().sources }, /two families/)
  })
})
