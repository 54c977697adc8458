import assert from 'node:assert/strict'
import { type Device, draw, receive, type Stage, startEngine } from '../../src/engine/index.js'
import { BUNDLE_BYTES } from '../../src/memory/index.js'
import { type EngineBench, openBench } from './engine.js'
import type { Random } from './random.js'
import type { StageTwin } from './stage-twins.js'

const ROUNDS = 60

/**
 * Runs a stage on random bundles and compares every output, in order and byte
 * for byte, and every drop with what its twin says; at the end every frame must
 * be back and the checked build have found nothing.
 */
export function assertLikeTwin(
  random: Random,
  open: (bench: EngineBench) => { readonly stage: Stage; readonly twin: StageTwin },
  packetOf: (random: Random) => Uint8Array,
  /** What of a packet is chance is made the same as the twin has it. */
  settled: (packet: Uint8Array) => Uint8Array = (packet) => packet,
): void {
  const bench = openBench()
  const { stage, twin } = open(bench)
  const bundle = bench.bundle('sent')
  const collected = stage.outputs.map((): Uint8Array[] => [])
  const ends = stage.outputs.map((output, index) => collect(bench, `to ${output}`, collected[index]!))
  const lines = stage.outputs.map((output, index) => [`${stage.name}.${output}`, ends[index]!] as const)
  const graph = draw([receive(once(bench, bundle)), stage], ...lines)
  const engine = startEngine(bench.space, bench.code, bench.worker, graph, { bundle: 256 })
  const drops: Record<string, number> = Object.fromEntries(stage.drops.map((reason) => [reason, 0]))
  for (let round = 0; round < ROUNDS; round++) {
    const packets = Array.from({ length: random.pick([1, 2, 64, random.below(257)]) }, () => packetOf(random))
    bench.fill(bundle, packets)
    engine.round()
    const wanted = twin(packets)
    collected.forEach((packets, output) => {
      assert.deepEqual(packets.splice(0).map(settled), wanted.outputs[output])
    })
    for (const [reason, count] of Object.entries(wanted.drops)) drops[reason]! += count
  }
  assert.deepEqual(engine.statistics().find(({ name }) => name === stage.name)!.drops, drops)
  engine.close()
  assert.equal(bench.inUse(), 0)
  const { lastFrame: _, ...faults } = bench.pool.faults()
  assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
}

/** A device that receives what a test has put into a bundle. */
export function once({ space }: EngineBench, from: number): Device {
  const statistics = {
    receivedPackets: 0,
    receivedBytes: 0,
    sentPackets: 0,
    sentBytes: 0,
    copiedPackets: 0,
    drops: {},
  }
  return {
    name: 'by hand',
    receive(bundle) {
      space.bytes.copyWithin(bundle, from, from + BUNDLE_BYTES)
      space.words[from / 4] = 0
      return space.words[bundle / 4]!
    },
    send: () => 0,
    flush() {},
    isReady: () => space.words[from / 4]! > 0,
    wait: () => Promise.resolve(),
    statistics: () => statistics,
    close() {},
  }
}

/** An end that reads the packets before it gives their frames back. */
export function collect(bench: EngineBench, name: string, packets: Uint8Array[]): Stage {
  return {
    name,
    outputs: [],
    drops: ['read'],
    kind: 'collect',
    settings: { packets },
    start: ({ dropAll }) => ({
      run(bundle) {
        packets.push(...bench.read(bundle))
        dropAll(bundle, 0)
      },
    }),
  }
}
