import assert from 'node:assert/strict'

const WAIT_SECONDS = 20

/**
 * ping that sends one by one until `count` answers have come. Without a limit
 * of its own it waits for the last one only as long as between two, or as two
 * of the others took, and on a busy machine that one comes later now and then.
 */
export function pings(count: number, intervalMs = 10): string[] {
  return ['ping', '-n', '-c', `${count}`, '-i', `${intervalMs / 1000}`, '-w', `${WAIT_SECONDS}`]
}

/** ping that sends so many at once, no more, and waits as long; of a neighbour that is known. For tests that count packets. */
export function pingsAtOnce(count: number): string[] {
  const wait = `${WAIT_SECONDS}`
  return ['ping', '-n', '-c', `${count}`, '-l', `${count}`, '-i', wait, '-W', wait]
}

/** None of the first `count` was lost, says what ping has printed; it may have sent more while it waited. */
export function assertAnswered(text: string, count: number): void {
  const answered = [...text.matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) => Number(number))
  const wanted = Array.from({ length: count }, (_, index) => index + 1)
  assert.deepEqual(answered.sort((a, b) => a - b).slice(0, count), wanted, text)
}
