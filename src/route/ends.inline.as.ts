import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'
import { STAGE_ENDS, STAGE_OUTPUTS, STAGE_PORTS, TO_OUTPUTS } from './formats'

/** Notes where each output's bundle goes on; the first one is this bundle, which is written again from its begin. */
export function openEnds(stage: u32, bundle: u32): void {
  const outputs = load<u32>(stage, STAGE_OUTPUTS)
  const ends = load<u32>(stage, STAGE_ENDS)
  store<u32>(ends, bundle + BUNDLE_DESCRIPTORS)
  for (let at: u32 = 4, end = (load<u32>(stage, STAGE_PORTS) + TO_OUTPUTS) << 2; at < end; at += 4) {
    const other = load<u32>(outputs + at)
    store<u32>(ends + at, other + BUNDLE_DESCRIPTORS + load<u32>(other, BUNDLE_COUNT) * DESCRIPTOR_BYTES)
  }
}

/** Appends a packet to the bundle of an output. */
export function append(ends: u32, to: u32, descriptor: u32): void {
  const end = ends + (to << 2)
  const place = load<u32>(end)
  v128.store(place, v128.load(descriptor))
  store<u32>(end, place + DESCRIPTOR_BYTES)
}

/** Writes how many packets each output's bundle has. */
export function closeEnds(stage: u32, bundle: u32): void {
  const outputs = load<u32>(stage, STAGE_OUTPUTS)
  const ends = load<u32>(stage, STAGE_ENDS)
  for (let at: u32 = 0, end = (load<u32>(stage, STAGE_PORTS) + TO_OUTPUTS) << 2; at < end; at += 4) {
    const other = at === 0 ? bundle : load<u32>(outputs + at)
    store<u32>(other, (load<u32>(ends + at) - other - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
  }
}
