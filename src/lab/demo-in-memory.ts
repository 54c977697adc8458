import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { compileRule } from '../compile.js'
import { prepare, XDP } from '../ebpf/index.js'
import { parseAddress, parseMac } from '../kernel/index.js'
import {
  ETHERNET,
  ETHERTYPE,
  IP_PROTOCOL,
  IPV4,
  TCP,
  TCP_FLAG,
  write16,
  writeEthernet,
  writeIpv4,
} from '../wire/index.js'
import {
  DEMO_RULE,
  type DemoOptions,
  type DemoResult,
  type Phase,
  type PhaseName,
  phaseDurationMs,
} from './demo-phase.js'
import { type FloodSpec, floodTemplate, SMALLEST_FRAME_BYTES, sealFloodFrame } from './flood-frame.js'
import { describeMachine } from './machine.js'

/**
 * The demonstration for a machine that lends no rights: the same rule, as the
 * same program, over the same packets; but the device is a ring in memory, the
 * program is interpreted, and the kernel's share is only a number of packets.
 */

/** As many as a veth's receive ring has. */
const RING_SLOTS = 256
/** In each turn this many flood packets arrive in bursts, and the stack behind the ring takes so many. */
const TURN = { bursts: 40, burstPackets: 16, stackPackets: 120 } as const
const TURNS_PER_REQUEST = 10
const PROGRESS_MS = 250

const SPEC: FloodSpec = {
  kind: 'syn',
  sourceMac: '02:00:5e:00:02:01',
  destinationMac: '02:00:5e:00:02:02',
  destination: '203.0.113.2',
  port: 8080,
  sources: { address: '198.18.0.0', length: 15 },
  bytes: { least: SMALLEST_FRAME_BYTES, most: SMALLEST_FRAME_BYTES },
}

const NOTES = [
  'this process may not make namespaces or load programs, so everything ran in memory: run it with sudo to see the real thing',
  'in memory there is no latency, no driver and no kernel: the rule ran in an interpreter, and the stack was taken to handle a fifth of the flood',
]

/** Runs the demonstration over a link in memory. Needs no rights. */
export async function runDemoInMemory(options: DemoOptions): Promise<DemoResult> {
  options.onEvent({ kind: 'ready', networkMs: 0, cores: null, notes: NOTES })
  const phases: Phase[] = []
  for (const name of ['calm', 'undefended', 'defended', 'recovered'] as const) {
    const phase = await runPhase(options, name)
    phases.push(phase)
    options.onEvent({ kind: 'phase', phase })
  }
  const machine = describeMachine()
  return { machine, phases, rule: DEMO_RULE, on: 'memory', mode: null, firstDropMs: null, cores: null, notes: NOTES }
}

/** Counts of one phase; frames of the flood and of the service are told apart by who sent them. */
interface Link {
  readonly dropsFrame: (frame: Uint8Array) => boolean
  /** Packets that wait: true where the packet is the service's. */
  readonly ring: boolean[]
  sent: number
  reached: number
  floodDropped: number
  serviceDropped: number
  requests: number
  failed: number
  /** Packets of the pending request that found no slot or were dropped. */
  missing: number
}

async function runPhase(options: DemoOptions, name: PhaseName): Promise<Phase> {
  const durationMs = phaseDurationMs(name, options.seconds)
  const isDefended = name === 'defended'
  const isFlooded = isDefended || name === 'undefended'
  const link = openLink(isDefended)
  const frames = { flood: floodTemplate(SPEC), service: requestFrames() }
  const start = performance.now()
  let told = start
  for (let turn = 0; performance.now() - start < durationMs; turn++) {
    runTurn(link, frames, isFlooded, turn % TURNS_PER_REQUEST === 0)
    if (performance.now() - told < PROGRESS_MS) continue
    told = performance.now()
    options.onEvent({ kind: 'progress', progress: { phase: name, durationMs, ...progressOf(link, told - start) } })
    await yieldToEventLoop()
  }
  const seconds = (performance.now() - start) / 1000
  return {
    name,
    seconds,
    flood: {
      offeredPps: Math.round(link.sent / seconds),
      sent: link.sent,
      reached: link.reached,
      ringLoss: link.sent - link.reached,
      heldBack: 0,
    },
    rule: isDefended ? { dropped: link.floodDropped + link.serviceDropped, serviceDropped: link.serviceDropped } : null,
    service: { requests: link.requests, failed: link.failed, p50Ms: null, p99Ms: null },
    victimCoreBusy: null,
  }
}

function openLink(isDefended: boolean): Link {
  const counts = { sent: 0, reached: 0, floodDropped: 0, serviceDropped: 0, requests: 0, failed: 0, missing: 0 }
  if (!isDefended) return { dropsFrame: () => false, ring: [], ...counts }
  const machine = prepare(compileRule({ match: DEMO_RULE, action: 'drop', name: 'demo' }).program)
  return {
    dropsFrame(frame) {
      const outcome = machine.run(frame)
      return outcome.kind === 'return' && outcome.value === XDP.drop
    },
    ring: [],
    ...counts,
  }
}

interface DemoFrames {
  readonly flood: Uint8Array
  readonly service: readonly Uint8Array[]
}

/** One turn: bursts of the flood, a request now and then in their midst, and what the stack can take. */
function runTurn(link: Link, frames: DemoFrames, isFlooded: boolean, asks: boolean) {
  if (asks) {
    if (link.missing > 0) link.failed++
    link.missing = 0
    link.requests++
  }
  for (let burst = 0; burst < TURN.bursts; burst++) {
    if (isFlooded) for (let n = 0; n < TURN.burstPackets; n++) offerFlood(link, frames.flood)
    const packet = asks ? frames.service[burst / (TURN.bursts / frames.service.length)] : undefined
    if (packet !== undefined) offerService(link, packet)
    link.ring.splice(0, TURN.stackPackets / TURN.bursts)
  }
}

function offerFlood(link: Link, frame: Uint8Array): void {
  link.sent++
  if (link.ring.length >= RING_SLOTS) return
  link.reached++
  sealFloodFrame(SPEC.kind, frame, {
    source: 0xc6120000 | (Math.random() * 0x20000),
    port: 1024 + Math.random() * 64_512,
    sequence: Math.random() * 2 ** 32,
  })
  if (link.dropsFrame(frame)) link.floodDropped++
  else link.ring.push(false)
}

function offerService(link: Link, frame: Uint8Array): void {
  const isFull = link.ring.length >= RING_SLOTS
  const isDropped = !isFull && link.dropsFrame(frame)
  if (isDropped) link.serviceDropped++
  if (isFull || isDropped) link.missing++
  else link.ring.push(true)
}

/** What a request sends to the service: SYN with its options, ACK, the request, FIN. */
function requestFrames(): Uint8Array[] {
  const { syn, ack, push, fin } = TCP_FLAG
  return [clientFrame(syn, 4, 0), clientFrame(ack, 0, 0), clientFrame(ack | push, 0, 80), clientFrame(ack | fin, 0, 0)]
}

function clientFrame(flags: number, optionBytes: number, payloadBytes: number): Uint8Array {
  const transportBytes = TCP.headerBytes + optionBytes
  const at = ETHERNET.headerBytes + IPV4.headerBytes
  const frame = new Uint8Array(Math.max(SMALLEST_FRAME_BYTES, at + transportBytes + payloadBytes))
  writeEthernet(frame, parseMac(SPEC.destinationMac), parseMac(SPEC.sourceMac), ETHERTYPE.ipv4)
  writeIpv4(frame, ETHERNET.headerBytes, {
    source: parseAddress('192.0.2.2'),
    destination: parseAddress(SPEC.destination),
    protocol: IP_PROTOCOL.tcp,
    totalBytes: IPV4.headerBytes + transportBytes + payloadBytes,
  })
  write16(frame, at + TCP.destinationPort, SPEC.port)
  frame[at + TCP.dataOffset] = (transportBytes / 4) << 4
  frame[at + TCP.flags] = flags
  return frame
}

function progressOf(link: Link, elapsedMs: number) {
  const perSecond = (packets: number) => (packets * 1000) / elapsedMs
  return {
    elapsedMs,
    offeredPps: perSecond(link.sent),
    droppedPps: perSecond(link.floodDropped + link.serviceDropped),
    lostPps: perSecond(link.sent - link.reached),
    service: { requests: link.requests, failed: link.failed, p50Ms: null, p99Ms: null },
  }
}
