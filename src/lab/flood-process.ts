import { setTimeout as sleep } from 'node:timers/promises'
import {
  closeDescriptor,
  ERRNO,
  errnoName,
  lookupElement,
  openMap,
  TEST_XDP_LIVE_FRAMES,
  tryTestRun,
  updateElement,
} from '../kernel/index.js'
import { type LoadedMap, type LoadedProgram, loadProgram, perCpuReader } from '../loader/index.js'
import { startLabChild } from './child.js'
import { floodTemplate } from './flood-frame.js'
import {
  type FloodConsumer,
  type FloodFailure,
  type FloodProgress,
  type FloodReport,
  type FloodStart,
  SLEEPING_RATE,
  STOP_SIGNAL,
} from './flood-orders.js'
import { CONSUMER_MAP, consumerSpec, FLOOD_MAP, FLOOD_STATE, floodProgram, TIME_SHIFT } from './flood-program.js'

/**
 * The flood generator: a child process in the namespace that owns the device,
 * which asks the kernel for live frames until it is told to stop, or until the
 * bound that each start carries.
 */

/**
 * One call into the kernel sends this long. Each call costs about 16 ms before
 * and after it, in which the kernel makes and removes its page pool, so a call
 * is long; the parent cuts it short with STOP_SIGNAL.
 */
const CALL_MS = 2000
/** Frames that the kernel sends between two looks at its scheduler. */
const BATCH_FRAMES = 32
/** What may be made up for after the generator was held up: a fifth of a veth ring. */
const SLACK_PACKETS = 48
const MESSAGE_MS = 20

const child = startLabChild()
let stopping = false

// Any signal ends the call with EINTR; this one shall end nothing else.
process.on(STOP_SIGNAL, () => {})
child.onMessage((message) => {
  const order = message as FloodStart | { kind: 'stop' }
  if (order.kind === 'start') {
    flood(order).catch((error: Error) => child.send({ kind: 'failure', message: error.message } satisfies FloodFailure))
  } else stopping = true
})
child.send({ kind: 'ready' })

async function flood(start: FloodStart): Promise<void> {
  stopping = false
  const consumer = openConsumer(start.consumer)
  try {
    const program = loadProgram(floodProgram(start.spec, start.consumer), consumer?.maps)
    try {
      child.send(await send(start, program, consumer?.consumed ?? 0))
    } finally {
      program.close()
    }
  } finally {
    consumer?.close()
  }
}

/** Sends until it is told to stop or its time is over. */
async function send(start: FloodStart, program: LoadedProgram, consumed: number): Promise<FloodReport> {
  const { fd: stateFd } = program.maps.get(FLOOD_MAP)!
  updateElement(stateFd, new Uint8Array(4), initialState(start.packetsPerSecond, consumed))
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
  const most = start.mostPackets ?? Number.POSITIVE_INFINITY
  for (let sent = 0; !stopping && sent < most && elapsedMs() < start.seconds * 1000; ) {
    const bounded = { ...run, repeat: Math.min(run.repeat, most - sent) }
    const errno =
      start.packetsPerSecond < SLEEPING_RATE ? await sendSparsely(bounded, start.packetsPerSecond) : tryTestRun(bounded)
    if (errno !== 0 && errno !== ERRNO.EINTR) {
      throw new Error(
        `the kernel refused to send live frames (${errnoName(errno)}): the flood needs Linux 5.18 or newer`,
      )
    }
    const state = readState(stateFd)
    sent = state.sent
    child.send({ kind: 'progress', sent, bytes: state.bytes } satisfies FloodProgress)
    // After a signal the order to stop is on its way, but not yet a message.
    await sleep(errno === ERRNO.EINTR ? MESSAGE_MS : 0)
  }
  return { kind: 'report', elapsedMs: elapsedMs(), ...readState(stateFd) }
}

/** The map in which the victim's side counts, and how much it has counted before this flood. */
function openConsumer(consumer: FloodConsumer | undefined) {
  if (consumer === undefined) return null
  const map: LoadedMap = { spec: consumerSpec(consumer), fd: openMap(consumer.mapId) }
  const consumed = perCpuReader(map)()[0]!
  return { maps: new Map([[CONSUMER_MAP, map]]), consumed, close: () => closeDescriptor(map.fd) }
}

/** A few packets, then sleep until the next are due. */
async function sendSparsely(run: Parameters<typeof tryTestRun>[0], packetsPerSecond: number): Promise<number> {
  const packets = Math.min(run.repeat!, Math.max(1, Math.round(packetsPerSecond / 1000)))
  const errno = tryTestRun({ ...run, repeat: packets, batchSize: packets })
  await sleep((packets / packetsPerSecond) * 1000 - 0.5)
  return errno
}

function initialState(packetsPerSecond: number, consumed: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(FLOOD_STATE.size))
  const interval = (1e9 * 2 ** TIME_SHIFT) / packetsPerSecond
  view.setBigUint64(FLOOD_STATE.interval, BigInt(Math.round(interval)), true)
  view.setBigUint64(FLOOD_STATE.slack, BigInt(Math.round(interval * SLACK_PACKETS)), true)
  // Nothing of this flood has gone anywhere yet: sent - gone - consumed = 0.
  view.setBigInt64(FLOOD_STATE.gone, BigInt(-consumed), true)
  return new Uint8Array(view.buffer)
}

function readState(fd: number): Pick<FloodReport, 'sent' | 'bytes' | 'late' | 'heldBack'> {
  const value = new Uint8Array(FLOOD_STATE.size)
  lookupElement(fd, new Uint8Array(4), value)
  const view = new DataView(value.buffer)
  const read = (offset: number) => Number(view.getBigUint64(offset, true))
  return {
    sent: read(FLOOD_STATE.sent),
    bytes: read(FLOOD_STATE.bytes),
    late: read(FLOOD_STATE.late),
    heldBack: read(FLOOD_STATE.heldBack),
  }
}

/** `struct xdp_md`: the frame's length, and the device that it seems to come from, where XDP_TX sends it. */
function floodContext({ spec, interfaceIndex }: FloodStart): Uint8Array {
  const view = new DataView(new ArrayBuffer(24))
  view.setUint32(4, spec.bytes.most, true)
  view.setUint32(12, interfaceIndex, true)
  return new Uint8Array(view.buffer)
}
