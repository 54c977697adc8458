import { parentPort, workerData } from 'node:worker_threads'
import { prepareTestRun } from '../../src/kernel/index.js'

/** What each of the threads is handed; `arrived` has one number for each thread, `passed` one byte for each key. */
export interface RaceOrders {
  readonly fd: number
  readonly frame: Uint8Array
  /** Where the key stands in the frame, 32 bits. */
  readonly keyAt: number
  readonly keys: number
  readonly thread: number
  readonly arrived: Int32Array
  readonly passed: Uint8Array
}

const PASS = 2
/** A good many microseconds. */
const MOST_SPINS = 50_000

/** Sends one packet of each key, at the moment in which all other threads are there to do so too. */
function race({ fd, frame, keyAt, keys, thread, arrived, passed }: RaceOrders): void {
  const data = Uint8Array.from(frame)
  const view = new DataView(data.buffer)
  const run = prepareTestRun({ fd, data })
  for (let key = 0; key < keys; key++) {
    view.setUint32(keyAt, key)
    Atomics.store(arrived, thread, key + 1)
    for (let other = 0; other < arrived.length; other++) {
      // The other comes in microseconds; or it does not run, perhaps because this one has its CPU.
      for (let spins = 0; Atomics.load(arrived, other) <= key; spins++)
        if (spins > MOST_SPINS) Atomics.wait(arrived, other, key, 1)
    }
    if (run() === PASS) passed[key] = 1
  }
}

race(workerData as RaceOrders)
parentPort!.postMessage('done')
