import { LIMIT_ALLOWED, LIMIT_IS_ON, LIMIT_LEAST, LIMIT_MOST, LIMIT_NOW } from './formats'

/*
 * How many bytes a device may have that it has not finished with: as few as keep
 * it busy. The algorithm is that of the kernel's dynamic queue limits
 * (lib/dynamic_queue_limits.c; T. Herbert, 2011): the limit grows when the
 * device ran dry while packets were held back, and shrinks by what was never
 * needed for a second. Counts of bytes wrap.
 */

/** Further words: bytes given to the device and finished, the same at the last completion, and how far beyond the limit. */
const GIVEN: usize = 20
const DONE: usize = 24
const GIVEN_BEFORE: usize = 28
const OVER_BEFORE: usize = 32
/** Length of the last packet that was given, and of the one before the last completion. */
const LAST: usize = 36
const LAST_BEFORE: usize = 40
/** What was spare at least, and since when that is asked, f64. */
const SLACK: usize = 44
const SLACK_SINCE: usize = 48

const HOLD_US: f64 = 1_000_000

/** How many bytes more it takes; negative where it has more than it should. A packet may go where this is not negative. */
export function limitRoom(limit: u32): i32 {
  if (load<u32>(limit, LIMIT_IS_ON) === 0) return i32.MAX_VALUE
  return <i32>(load<u32>(limit, LIMIT_ALLOWED) - load<u32>(limit, GIVEN))
}

/** The device has got a packet. */
export function limitGiven(limit: u32, bytes: u32): void {
  store<u32>(limit, load<u32>(limit, GIVEN) + bytes, GIVEN)
  store<u32>(limit, bytes, LAST)
}

/** The device has finished with so many bytes, at the time `now`. */
export function limitDone(limit: u32, bytes: u32, now: f64): void {
  const before = load<u32>(limit, DONE)
  const given = load<u32>(limit, GIVEN)
  const done = before + bytes
  const givenBefore = load<u32>(limit, GIVEN_BEFORE)
  const overBefore = load<u32>(limit, OVER_BEFORE)
  const most = load<u32>(limit, LIMIT_NOW)
  let over = beyond(given - before, most)
  const isDry = given === done
  const hasAllBefore = <i32>(done - givenBefore) >= 0
  let next = most
  if ((over > 0 && isDry) || (overBefore > 0 && hasAllBefore)) {
    next = most + beyond(done, givenBefore) + overBefore
    forgetSlack(limit, now)
  } else if (!isDry && givenBefore !== before && !hasAllBefore) {
    next = shrunk(limit, most, overBefore, bytes, now)
  }
  next = max<u32>(load<u32>(limit, LIMIT_LEAST), min<u32>(next, load<u32>(limit, LIMIT_MOST)))
  if (next !== most) over = 0
  store<u32>(limit, next, LIMIT_NOW)
  store<u32>(limit, next + done, LIMIT_ALLOWED)
  store<u32>(limit, done, DONE)
  store<u32>(limit, given, GIVEN_BEFORE)
  store<u32>(limit, over, OVER_BEFORE)
  store<u32>(limit, load<u32>(limit, LAST), LAST_BEFORE)
}

/** The limit of a device that stayed busy: less what was spare each time for a second. */
function shrunk(limit: u32, most: u32, overBefore: u32, bytes: u32, now: f64): u32 {
  const spare = beyond(most + overBefore, 2 * bytes)
  const ofLast = overBefore > 0 ? beyond(load<u32>(limit, LAST_BEFORE), overBefore) : 0
  const least = min<u32>(load<u32>(limit, SLACK), max<u32>(spare, ofLast))
  store<u32>(limit, least, SLACK)
  if (now <= load<f64>(limit, SLACK_SINCE) + HOLD_US) return most
  forgetSlack(limit, now)
  return beyond(most, least)
}

function forgetSlack(limit: u32, now: f64): void {
  store<u32>(limit, u32.MAX_VALUE, SLACK)
  store<f64>(limit, now, SLACK_SINCE)
}

/** How far one count is ahead of another; 0 where it is behind. */
function beyond(one: u32, other: u32): u32 {
  const difference = <i32>(one - other)
  return difference > 0 ? <u32>difference : 0
}
