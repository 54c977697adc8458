import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS } from '../memory/formats'
import { poolGive } from '../memory/pool.as'
import { divideBundle } from './verdicts.inline.as'

/** Drops the packets whose verdict is chosen; `dropped` is room for a bundle, `drops` the counter. */
export function earlyDrop(pool: u32, bundle: u32, verdicts: u32, chosen: u32, dropped: u32, drops: u32): void {
  store<u32>(dropped, 0, BUNDLE_COUNT)
  const count = divideBundle(bundle, verdicts, chosen, dropped)
  if (count === 0) return
  poolGive(pool, dropped + BUNDLE_DESCRIPTORS, count)
  store<f64>(drops, load<f64>(drops) + <f64>count)
}
