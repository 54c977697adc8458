import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type EngineTracker, openEngineTracker } from './support/engine-tracker.js'
import { type KernelTracker, openKernelTracker } from './support/kernel-tracker.js'
import { seededRandom } from './support/random.js'
import { randomConversation } from './support/random-conversation.js'
import { skipUnless } from './support/require.js'
import { casesOf, KERNEL_CASES } from './support/tracked-cases.js'
import type { TrackedPacket } from './support/tracked-packet.js'

/** Random conversations; more where a longer run is asked for. */
const CONVERSATIONS = Number(process.env['SLUICE_CONVERSATIONS'] ?? 1000)
/** Each conversation has a port of its own; those of the cases come first. */
const FIRST_PORT = 1024

describe('connections are tracked as the kernel tracks them', { skip: skipUnless('root', 'nft') }, () => {
  let kernel: KernelTracker
  let engine: EngineTracker

  before(() => {
    kernel = openKernelTracker()
    engine = openEngineTracker()
  })

  after(() => {
    kernel?.close()
    engine?.close()
  })

  function assertAlike(packets: readonly TrackedPacket[]): void {
    const said: string[] = []
    for (const packet of packets) {
      const [wanted, found] = [kernel.judge(packet), engine.judge(packet)]
      said.push(`${describePacket(packet)} ${wanted}`)
      assert.equal(found, wanted, said.join('\n'))
    }
  }

  it('what its own tests expect', () => {
    KERNEL_CASES.forEach(({ name, packets }, index) => {
      for (const [packet, verdict] of packets) {
        const here = { ...packet, port: 900 + index }
        assert.equal(kernel.judge(here), verdict, `${name}: ${describePacket(here)}`)
      }
    })
    for (const { name, packets } of [...casesOf(4), ...casesOf(6)])
      for (const [packet, verdict] of packets)
        assert.equal(kernel.judge(packet), verdict, `${name}: ${describePacket(packet)}`)
  })

  it('random conversations over TCP, with segments that no window has room for', (context) => {
    const random = seededRandom(context, 'track-kernel')
    for (let number = 0; number < CONVERSATIONS; number++)
      assertAlike(randomConversation(random, FIRST_PORT + number, random.below(4) === 0 ? 6 : 4))
  })
})

function describePacket(packet: TrackedPacket): string {
  const { from, family = 4, protocol = '', flags = '.', sequence, acknowledged, window, payload, options = [] } = packet
  const side = from === 'client' ? '>' : '<'
  return `${side} IPv${family} ${protocol}${flags} ${sequence}(${payload?.length ?? 0}) ack ${acknowledged} win ${window} [${options}]`
}
