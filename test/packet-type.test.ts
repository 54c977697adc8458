import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { policySource } from '../src/control/index.js'
import { openXdp } from '../src/device/index.js'
import { prepare } from '../src/ebpf/index.js'
import { draw, receive, startEngine } from '../src/engine/index.js'
import { withNamespace } from '../src/kernel/index.js'
import { loadPolicy } from '../src/loader/index.js'
import {
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HAS_MARK,
  METADATA_HAS_VERDICT,
  METADATA_HASH,
  METADATA_MARK,
  METADATA_TYPE,
  METADATA_VALID,
  METADATA_VERDICT,
  TYPE_TRANSPORT_SHIFT,
} from '../src/memory/index.js'
import { divert, mark, policy } from '../src/policy/index.js'
import { classify, discard, handle } from '../src/stages/index.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { typedFlow } from './support/packet-type.js'
import { seededRandom } from './support/random.js'
import { randomPacket } from './support/random-packet.js'
import { skipUnless } from './support/require.js'
import { createVethPair } from './support/veth-pair.js'

const NONE = { sets: new Map(), interfaceIndex: () => 0 }
const PACKETS = 20_000
const OUTPUTS = ['other', 'tcp', 'udp', 'icmp']

/** The metadata that ends at `at`. */
function metadataBefore(view: DataView, at: number) {
  const from = at - METADATA_BYTES
  return {
    mark: view.getUint32(from + METADATA_MARK, true),
    hash: view.getUint32(from + METADATA_HASH, true),
    type: view.getUint16(from + METADATA_TYPE, true),
    verdict: view.getUint8(from + METADATA_VERDICT),
    valid: view.getUint8(from + METADATA_VALID),
  }
}

describe('packet types and flow hashes', () => {
  it('are the same in eBPF and in the plain twin, with a mark and without, and the packet stays as it is', (context) => {
    const random = seededRandom(context, 'packet-type')
    for (const value of [0, 0xc0ffee]) {
      const rules = value === 0 ? [divert('')] : [mark('', { value }), divert('')]
      const source = policySource(policy(...rules), { ...NONE, metadata: true })
      const slots = rules.map((_, index) => index)
      const machine = prepare(source.compile(slots, 64))
      for (let turn = 0; turn < PACKETS; turn++) {
        const { bytes } = randomPacket(random)
        if (bytes.length < 14) continue
        machine.run(bytes)
        const frame = machine.frame()
        assert.deepEqual(frame, bytes)
        const valid = METADATA_HAS_FLOW | METADATA_HAS_VERDICT | (value === 0 ? 0 : METADATA_HAS_MARK)
        assert.deepEqual(
          metadataBefore(new DataView(frame.buffer), frame.byteOffset),
          { ...typedFlow(bytes), mark: value, verdict: rules.length - 1, valid },
          Buffer.from(bytes).toString('hex'),
        )
      }
    }
  })

  it('are the same in AssemblyScript, whose stage sends each packet where its type says', (context) => {
    const random = seededRandom(context, 'packet-type')
    const bench = openBench()
    const stage = classify('kinds', 'header')
    const outputs = OUTPUTS.map((output, index) => (index === 0 ? 0 : bench.bundle(output)))
    const { space, code, worker } = bench
    const reserve = (what: string, kind: 'table', bytes: number) =>
      space.reserve({ name: `stage ${what}`, kind, bytes }).offset
    const running = stage.start({ space, code, pool: worker, outputs, drops: 0, reserve, dropAll: () => {} })
    const input = bench.bundle('input')
    const view = new DataView(space.memory.buffer)
    let count = 0
    for (let turn = 0; turn < PACKETS / 64; turn++) {
      const packets = Array.from({ length: 64 }, () => randomPacket(random).bytes.slice(0, 1500))
      bench.fill(input, packets)
      running.run(input)
      count += packets.length
      ;[input, ...outputs.slice(1)].forEach((bundle, output) => {
        const wanted = packets.filter((packet) => ((typedFlow(packet).type >> TYPE_TRANSPORT_SHIFT) & 15) === output)
        assert.deepEqual(bench.read(bundle), wanted)
        wanted.forEach((packet, index) => {
          const { hash, type } = metadataBefore(view, space.words[(bundle + 16 + index * 16) / 4]!)
          assert.deepEqual({ type, hash }, typedFlow(packet))
        })
        bench.empty(bundle)
      })
    }
    assert.deepEqual(stage.read(), { fromMetadata: 0, fromHeader: count })
    assert.equal(bench.inUse(), 0)
  })
})

describe('frame metadata from the driver', { skip: skipUnless('root') }, () => {
  it('comes before each packet that a policy diverts, so that nothing reads its header', async () => {
    const pair = createVethPair()
    const { space, code, worker } = openBench({ 2048: 2048 })
    const rules = policy(mark('udp dst port 7', { value: 7 }), divert('udp dst port 7'), divert('udp dst port 9'))
    const loaded = loadPolicy(policySource(rules, { ...NONE, metadata: true }))
    const xdp = openXdp(space, code, worker, pair.near, { divert: loaded.divertTo, entries: 256 })
    const seen: { readonly metadata: ReturnType<typeof metadataBefore>; readonly packet: Uint8Array }[] = []
    const kinds = classify('kinds')
    const look = handle('look', ({ count, view, bytes, start, length }) => {
      for (let index = 0; index < count; index++) {
        const at = start(index)
        seen.push({ metadata: metadataBefore(view, at), packet: bytes.slice(at, at + length(index)) })
      }
    })
    const ends = OUTPUTS.map((output) => handle(`no ${output}`, () => assert.fail(`${output} came`)))
    const graph = draw(
      [receive(xdp.queues[0]!), kinds, ends[0]!, discard('end')],
      ['kinds.udp', look, discard('udp end')],
      ['kinds.tcp', ends[1]!, discard('tcp end')],
      ['kinds.icmp', ends[3]!, discard('icmp end')],
    )
    const engine = startEngine(space, code, worker, graph)
    const link = withNamespace(pair.near.namespace, () => loaded.attach(pair.near))
    try {
      const send = `
        const socket = require('node:dgram').createSocket('udp4')
        let left = 20
        for (let n = 0; n < 20; n++)
          socket.send(String(n), n % 2 ? 7 : 9, '${pair.near.ipv4}', () => --left || socket.close())`
      withNamespace(pair.far.namespace, () => execFileSync(process.execPath, ['-e', send]))
      await eventually('all have come', () => engine.round() >= 0 && seen.length === 20)
    } finally {
      link.close()
      engine.close()
      xdp.close()
      loaded.close()
      pair.close()
    }
    for (const { metadata, packet } of seen) {
      const port = packet[37]
      assert.deepEqual(metadata, {
        ...typedFlow(packet),
        mark: port === 7 ? 7 : 0,
        verdict: port === 7 ? 1 : 2,
        valid: METADATA_HAS_FLOW | METADATA_HAS_VERDICT | (port === 7 ? METADATA_HAS_MARK : 0),
      })
    }
    assert.deepEqual(kinds.read(), { fromMetadata: 20, fromHeader: 0 })
  })
})
