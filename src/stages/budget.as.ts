import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'
import { poolGive } from '../memory/pool.as'

/** State: f64 each. */
const TOKENS: usize = 0
const FILLED_MS: usize = 8

/**
 * Lets as many packets of the bundle go on as there are tokens, the first ones;
 * the others are dropped and counted at `drops`. Tokens grow with the time, to
 * `burst` at most.
 */
export function budget(
  pool: u32,
  bundle: u32,
  state: u32,
  nowMs: f64,
  packetsPerMs: f64,
  burst: f64,
  drops: u32,
): void {
  const grown = load<f64>(state, TOKENS) + (nowMs - load<f64>(state, FILLED_MS)) * packetsPerMs
  const tokens = grown < burst ? grown : burst
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const within: u32 = tokens < <f64>count ? <u32>tokens : count
  store<f64>(state, tokens - <f64>within, TOKENS)
  store<f64>(state, nowMs, FILLED_MS)
  if (within === count) return
  poolGive(pool, bundle + BUNDLE_DESCRIPTORS + within * DESCRIPTOR_BYTES, count - within)
  store<u32>(bundle, within, BUNDLE_COUNT)
  store<f64>(drops, load<f64>(drops) + <f64>(count - within))
}
