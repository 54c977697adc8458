import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openEngineTracker } from '../../test/support/engine-tracker.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomConversation } from '../../test/support/random-conversation.js'
import { casesOf, KERNEL_CASES } from '../../test/support/tracked-cases.js'
import { type TrackedPacket, trackedFrame, trackedIp } from '../../test/support/tracked-packet.js'

const CONVERSATIONS = 400
const TALKING_AT_ONCE = 16
const FIRST_PORT = 2000
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)

/** What two hosts say over something else than TCP, with errors about it and fragments of it. */
function randomTalk(random: Random, port: number, family: 4 | 6): TrackedPacket[] {
  const protocol = random.pick(['udp', 'udp', 'icmp', 'other'] as const)
  return Array.from({ length: 1 + random.below(12) }, (): TrackedPacket => {
    const from = random.pick(['client', 'server'] as const)
    const packet: TrackedPacket = { from, family, protocol, port, serverPort: 53 }
    if (random.below(8) === 0) return { ...packet, fragment: 0x2000 }
    if (random.below(5) > 0) return packet
    const to = from === 'client' ? 'server' : 'client'
    return { from: to, family, protocol: 'icmp', type: family === 4 ? 3 : 1, code: 1, payload: trackedIp(packet) }
  })
}

/** A hop-by-hop header of nothing but padding in front of the transport, as one side may send it and the other not. */
function withExtension(frame: Uint8Array): Uint8Array {
  const extended = Uint8Array.of(...frame.subarray(0, 54), frame[20]!, 0, 1, 4, 0, 0, 0, 0, ...frame.subarray(54))
  const view = new DataView(extended.buffer)
  view.setUint16(18, view.getUint16(18) + 8)
  extended[20] = 0
  return extended
}

describe('flows of several workers', () => {
  it('have the verdicts of one, whichever worker a packet comes to', (context) => {
    const random = seededRandom(context, 'flow/owner')
    const [one, several] = [openEngineTracker(), openEngineTracker({}, 3)]
    const talks: (readonly TrackedPacket[])[] = Array.from({ length: CONVERSATIONS }, (_, number) =>
      random.pick([randomConversation, randomTalk])(random, FIRST_PORT + number, random.pick([4, 4, 6])),
    )
    const waiting = [
      ...talks,
      ...[...KERNEL_CASES, ...casesOf(4), ...casesOf(6)].map(({ packets }) => packets.map(([packet]) => packet)),
    ].map((packets) => [...packets])
    const verdicts: Record<string, number> = {}
    for (let talking = waiting.splice(0, TALKING_AT_ONCE); talking.length > 0; ) {
      const place = random.below(talking.length)
      const packet = talking[place]!.shift()
      if (packet === undefined) talking.splice(place, 1, ...waiting.splice(0, 1))
      else {
        const plain = trackedFrame(packet, MAC)
        const frame = packet.family === 6 && random.below(4) === 0 ? withExtension(plain) : plain
        const [wanted, found] = [one.judgeFrame(frame), several.judgeFrame(frame, random.below(3))]
        assert.equal(found, wanted, JSON.stringify(packet))
        verdicts[wanted] = (verdicts[wanted] ?? 0) + 1
      }
    }
    const total = Object.values(verdicts).reduce((sum, count) => sum + count)
    for (const judged of several.judged()) assert(judged > total / 5, `${several.judged()} of ${total}`)
    for (const verdict of ['established', 'new', 'related', 'invalid', 'dropped'])
      assert((verdicts[verdict] ?? 0) > 20, JSON.stringify(verdicts))
    one.close()
    several.close()
  })
})
