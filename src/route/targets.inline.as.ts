import {
  FAULT_KIND_LIMIT,
  FAULT_TARGET_LIMIT,
  NO_FAULT,
  TARGET_FAMILY,
  TARGET_SINCE,
  TARGET_TOKENS,
} from './error-words.inline.as'
import {
  ERRORS_KINDS,
  ERRORS_NOW,
  ERRORS_SEED,
  ERRORS_SET_MASK,
  ERRORS_TARGET_BURST,
  ERRORS_TARGET_RATE,
  ERRORS_TARGETS,
  KIND_BURST,
  KIND_BYTES,
  KIND_RATE,
  KIND_SINCE,
  KIND_TOKENS,
  TARGET_BYTES,
  TARGETS_A_SET,
} from './errors-formats'

/** Odd numbers that mix the words of an address. */
const MIX: u32 = 0x9e3779b1
const MIX_AGAIN: u32 = 0x85ebca6b

/**
 * Takes a token of the kind's bucket and, where `isForTarget`, one of the
 * bucket of the target: an address of 4 or 16 bytes at `address`. Takes none
 * where one of them is empty, and says which.
 */
export function takeTokens(state: u32, kind: u32, address: u32, family: u32, isForTarget: bool): u32 {
  const bucket = state + ERRORS_KINDS + kind * KIND_BYTES
  const now = load<f64>(state, ERRORS_NOW)
  const grown = load<f64>(bucket, KIND_TOKENS) + (now - load<f64>(bucket, KIND_SINCE)) * load<f64>(bucket, KIND_RATE)
  const tokens = min<f64>(load<f64>(bucket, KIND_BURST), grown)
  store<f64>(bucket, tokens, KIND_TOKENS)
  store<f64>(bucket, now, KIND_SINCE)
  if (tokens < 1) return FAULT_KIND_LIMIT
  if (isForTarget && !takeOfTarget(state, now, address, family)) return FAULT_TARGET_LIMIT
  store<f64>(bucket, tokens - 1, KIND_TOKENS)
  return NO_FAULT
}

function takeOfTarget(state: u32, now: f64, address: u32, family: u32): bool {
  const burst = load<f64>(state, ERRORS_TARGET_BURST)
  if (burst === Infinity) return true
  const target = findTarget(state, address, family)
  const grown =
    <f64>load<f32>(target, TARGET_TOKENS) +
    (now - load<f64>(target, TARGET_SINCE)) * load<f64>(state, ERRORS_TARGET_RATE)
  const tokens = min<f64>(burst, grown)
  store<f64>(target, now, TARGET_SINCE)
  store<f32>(target, <f32>(tokens < 1 ? tokens : tokens - 1), TARGET_TOKENS)
  return tokens >= 1
}

/** The bucket of an address: a full one, in the place of the one that has rested longest, where there was none. */
function findTarget(state: u32, address: u32, family: u32): u32 {
  const isLong = family === 6
  const high: u64 = isLong ? load<u64>(address) : load<u32>(address)
  const low: u64 = isLong ? load<u64>(address, 8) : 0
  const index = mix(load<u32>(state, ERRORS_SEED), high, low) & load<u32>(state, ERRORS_SET_MASK)
  const first = load<u32>(state, ERRORS_TARGETS) + index * TARGETS_A_SET * TARGET_BYTES
  let oldest = first
  for (let at = first; at < first + TARGETS_A_SET * TARGET_BYTES; at += TARGET_BYTES) {
    if (load<u32>(at, TARGET_FAMILY) === family && load<u64>(at) === high && load<u64>(at, 8) === low) return at
    // What has never been used is older than all.
    if (load<f64>(at, TARGET_SINCE) < load<f64>(oldest, TARGET_SINCE)) oldest = at
  }
  store<u64>(oldest, high)
  store<u64>(oldest, low, 8)
  store<f64>(oldest, load<f64>(state, ERRORS_NOW), TARGET_SINCE)
  store<f32>(oldest, <f32>load<f64>(state, ERRORS_TARGET_BURST), TARGET_TOKENS)
  store<u32>(oldest, family, TARGET_FAMILY)
  return oldest
}

function mix(seed: u32, high: u64, low: u64): u32 {
  let hash = seed
  hash = (rotl<u32>(hash ^ <u32>high, 13) * MIX) ^ <u32>(high >> 32)
  hash = (rotl<u32>(hash, 13) * MIX) ^ <u32>low
  hash = (rotl<u32>(hash, 13) * MIX) ^ <u32>(low >> 32)
  hash = rotl<u32>(hash, 13) * MIX_AGAIN
  return hash ^ (hash >> 15)
}
