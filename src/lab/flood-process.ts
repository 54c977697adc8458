import { errnoName, lookupElement, TEST_XDP_LIVE_FRAMES, tryTestRun, updateElement } from '../kernel/index.js'
import { loadProgram } from '../loader/index.js'
import { startLabChild } from './child.js'
import { type FloodSpec, floodTemplate } from './flood-frame.js'
import { FLOOD_MAP, FLOOD_STATE, floodProgram, TIME_SHIFT } from './flood-program.js'

/**
 * The flood generator: a child process in the namespace that owns the device,
 * which asks the kernel for live frames until it is told to stop, or until the
 * bound that each start carries.
 */

/** Start sending; ends by itself after `seconds`. */
export interface FloodStart {
  readonly kind: 'start'
  readonly spec: FloodSpec
  readonly interfaceIndex: number
  readonly packetsPerSecond: number
  readonly seconds: number
}

/** What was sent since the start; `running` is false in the last report. */
export interface FloodReport {
  readonly kind: 'report'
  readonly running: boolean
  readonly sent: number
  readonly bytes: number
  readonly elapsedMs: number
  /** How often the generator was late by more than it may make up for. */
  readonly late: number
}

/** The flood could not go on; one sentence. */
export interface FloodFailure {
  readonly kind: 'error'
  readonly message: string
}

/** One call into the kernel sends this long: short enough to hear a stop, long enough to cost nothing. */
const CALL_MS = 20
const REPORT_MS = 100
/** Frames that the kernel sends between two looks at its scheduler. */
const BATCH_FRAMES = 32
/** What may be made up for after the generator was held up: a fifth of a veth ring. */
const SLACK_PACKETS = 48
/** Below this rate frames are sent one call each, with the thread asleep between. */
const SLEEPING_RATE = 20_000
const EINTR = 4

const child = startLabChild()
let stopping = false

child.onMessage((message) => {
  const order = message as FloodStart | { kind: 'stop' }
  if (order.kind === 'start') {
    flood(order).catch((error: Error) => child.send({ kind: 'error', message: error.message } satisfies FloodFailure))
  } else stopping = true
})
child.send({ kind: 'ready' })

async function flood(start: FloodStart): Promise<void> {
  stopping = false
  const program = loadProgram(floodProgram(start.spec))
  const state = program.maps.get(FLOOD_MAP)!
  updateElement(state.fd, new Uint8Array(4), initialState(start.packetsPerSecond))
  const run = {
    fd: program.fd,
    data: floodTemplate(start.spec),
    context: floodContext(start),
    flags: TEST_XDP_LIVE_FRAMES,
    batchSize: Math.min(BATCH_FRAMES, Math.max(1, Math.floor(start.packetsPerSecond / 1000))),
    repeat: Math.max(1, Math.round((start.packetsPerSecond * CALL_MS) / 1000)),
  }
  const begin = performance.now()
  const elapsedMs = () => performance.now() - begin
  const report = (running: boolean) =>
    child.send({ kind: 'report', running, elapsedMs: elapsedMs(), ...readState(state.fd) })
  let reported = 0
  while (!stopping && elapsedMs() < start.seconds * 1000) {
    const errno =
      start.packetsPerSecond < SLEEPING_RATE ? await sendSparsely(run, start.packetsPerSecond) : tryTestRun(run)
    if (errno !== 0 && errno !== EINTR) {
      throw new Error(
        `the kernel refused to send live frames (${errnoName(errno)}): the flood needs Linux 5.18 or newer`,
      )
    }
    if (elapsedMs() - reported > REPORT_MS) {
      reported = elapsedMs()
      report(true)
    }
    await new Promise(setImmediate)
  }
  report(false)
  program.close()
}

/** A few packets, then sleep until the next are due. */
async function sendSparsely(run: Parameters<typeof tryTestRun>[0], packetsPerSecond: number): Promise<number> {
  const packets = Math.max(1, Math.round(packetsPerSecond / 1000))
  const errno = tryTestRun({ ...run, repeat: packets, batchSize: packets })
  await new Promise((resolve) => setTimeout(resolve, (packets / packetsPerSecond) * 1000 - 0.5))
  return errno
}

function initialState(packetsPerSecond: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(FLOOD_STATE.size))
  const interval = (1e9 * 2 ** TIME_SHIFT) / packetsPerSecond
  view.setBigUint64(FLOOD_STATE.interval, BigInt(Math.round(interval)), true)
  view.setBigUint64(FLOOD_STATE.slack, BigInt(Math.round(interval * SLACK_PACKETS)), true)
  return new Uint8Array(view.buffer)
}

function readState(fd: number): { sent: number; bytes: number; late: number } {
  const value = new Uint8Array(FLOOD_STATE.size)
  lookupElement(fd, new Uint8Array(4), value)
  const view = new DataView(value.buffer)
  const read = (offset: number) => Number(view.getBigUint64(offset, true))
  return { sent: read(FLOOD_STATE.sent), bytes: read(FLOOD_STATE.bytes), late: read(FLOOD_STATE.late) }
}

/** `struct xdp_md`: the frame's length, and the device that it seems to come from, where XDP_TX sends it. */
function floodContext({ spec, interfaceIndex }: FloodStart): Uint8Array {
  const view = new DataView(new ArrayBuffer(24))
  view.setUint32(4, spec.bytes.most, true)
  view.setUint32(12, interfaceIndex, true)
  return new Uint8Array(view.buffer)
}
