import { placeMatcher } from '../../src/codegen/index.js'
import { compileFilter } from '../../src/compile.js'
import type { Stage } from '../../src/engine/index.js'
import * as stages from '../../src/stages/index.js'
import type { EngineBench } from './engine.js'

/** One of each stage, called `stage`, or a few of which the last is: all that src/stages exports are here. None does what depends on the time. */
export const stageMakers: Readonly<Record<string, (bench: EngineBench) => readonly Stage[]>> = {
  budget: () => [stages.budget('stage', { packetsPerSecond: 1e-6, burst: 1000 })],
  classify: () => [stages.classify('stage')],
  count: () => [stages.count('stage')],
  discard: () => [stages.discard('stage')],
  divide: (bench) => [stages.divide('stage', judgeOf(bench))],
  earlyDrop: (bench) => [stages.earlyDrop('stage', judgeOf(bench))],
  gro: () => [stages.gro('stage')],
  handle: () => [stages.handle('stage', answerSome)],
  listen: (bench) => [stages.listen('stage', { judge: judgeOf(bench), action: 'drop', ...listenedIn(bench) })],
  mirror: () => [stages.mirror('stage')],
  observe: () => [stages.observe('stage', () => {})],
  reflect: () => [stages.reflect('stage')],
  sample: () => [stages.sample('stage', { oneIn: 3, bytes: 60, seed: 1 })],
  segment: () => [stages.gro('before'), stages.segment('stage')],
  steer: () => [stages.steer('stage', 3)],
}

function judgeOf({ space }: EngineBench) {
  return placeMatcher(space, 'rule', compileFilter('udp or tcp[tcpflags] & tcp-syn != 0').optimized).judge
}

function listenedIn({ space }: EngineBench) {
  const { offset: counters } = space.reserve({ name: 'listened', kind: 'counters', bytes: stages.LISTENED.all })
  const { offset: scratch } = space.reserve({ name: 'scratch', kind: 'state', bytes: stages.LISTEN_SCRATCH_BYTES })
  return { counters, scratch }
}

/** By their bytes, and not by their place in the bundle. */
function answerSome(bundle: stages.PacketBundle): void {
  for (let packet = 0; packet < bundle.count; packet++) if (bundle.length(packet) % 2 === 0) bundle.answer(packet)
}
