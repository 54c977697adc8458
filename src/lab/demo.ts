import { setTimeout as sleep } from 'node:timers/promises'
import type { MeasureProgress, MeasureResult } from './client-orders.js'
import { type Defence, defendByIptables, defendByRule, hasIptables, type RuleDefence } from './demo-defence.js'
import {
  DEMO_RULE,
  type DemoOptions,
  type DemoResult,
  type FloodFigures,
  type Phase,
  type PhaseName,
  phaseDurationMs,
  type ServiceFigures,
} from './demo-phase.js'
import type { DemoRig } from './demo-rig.js'
import { describeMachine } from './machine.js'
import { percentile } from './percentile.js'

/**
 * The whole road once: a web service is flooded, goes under, and comes back
 * when one rule is loaded into the driver of its device.
 */

const PROGRESS_MS = 250
/** After the flood or the defence changed, before the service is measured. */
const SETTLE_MS = 300
/** After the flood ends, until the victim has read the last packet in its ring; where it is held up, so long at most. */
const DRAIN_MS = 50
const MOST_DRAIN_MS = 3000
/** A flood never outlives its phase by more than this, whatever happens to this process. */
const FLOOD_MARGIN_SECONDS = 10
const WARM_UP_MS = 500

const NO_FLOOD: FloodFigures = { offeredPps: 0, sent: 0, reached: 0, ringLoss: 0, heldBack: 0 }

/** Runs the demonstration on real devices and closes them. Throws LoadError. */
export async function runDemo(rig: DemoRig, options: DemoOptions): Promise<DemoResult> {
  let rule: RuleDefence | null = null
  try {
    const { victim } = rig.network
    const notes = [...rig.notes]
    const compareIptables = hasIptables(victim)
    if (!compareIptables)
      notes.push('iptables is not installed, so nothing is compared with it (apt-get install iptables)')
    options.onEvent({ kind: 'ready', networkMs: rig.network.createdInMs, cores: rig.cores, notes })
    const phases: Phase[] = []
    const run = async (name: PhaseName, flooded: boolean, defence: Defence | null) => {
      const phase = await runPhase(rig, options, { name, flooded, defence })
      phases.push(phase)
      options.onEvent({ kind: 'phase', phase })
    }

    await rig.measure(WARM_UP_MS)
    await run('calm', false, null)
    await run('undefended', true, null)
    if (compareIptables) {
      const iptables = defendByIptables(victim)
      await run('iptables', true, iptables)
      iptables.close()
    }
    const first = await timeFirstDrop(rig, options.packetsPerSecond)
    rule = first.rule
    await run('defended', true, rule)
    const { mode } = rule
    rule.close()
    await run('recovered', false, null)
    return {
      machine: describeMachine(),
      phases,
      rule: DEMO_RULE,
      on: 'veth',
      mode,
      firstDropMs: first.ms,
      cores: rig.cores,
      notes,
    }
  } finally {
    rule?.close()
    rig.close()
  }
}

/**
 * Loads the rule into a running flood, as an operator does, and times it from
 * the text to the first dropped packet.
 */
async function timeFirstDrop(rig: DemoRig, packetsPerSecond: number): Promise<{ rule: RuleDefence; ms: number }> {
  rig.startFlood(packetsPerSecond, FLOOD_MARGIN_SECONDS, null)
  await sleep(SETTLE_MS)
  const start = performance.now()
  const { victim, client } = rig.network
  const rule = defendByRule(victim, client.device.ipv4)
  while (rule.dropped() === 0 && performance.now() - start < 1000) await sleep(1)
  const ms = performance.now() - start
  await rig.generator.stop()
  await sleep(DRAIN_MS)
  return { rule, ms }
}

/** What a phase is made of. */
interface PhasePlan {
  readonly name: PhaseName
  readonly flooded: boolean
  readonly defence: Defence | null
}

async function runPhase(rig: DemoRig, options: DemoOptions, { name, flooded, defence }: PhasePlan): Promise<Phase> {
  const durationMs = phaseDurationMs(name, options.seconds)
  const start = performance.now()
  const before = { ...rig.counters(), dropped: defence?.dropped() ?? 0 }
  const boundSeconds = durationMs / 1000 + FLOOD_MARGIN_SECONDS
  if (flooded) rig.startFlood(options.packetsPerSecond, boundSeconds, defence?.counter ?? null)
  await sleep(SETTLE_MS)
  const watch = watchProgress(rig, options, name, durationMs, defence)
  const result = await rig.measure(durationMs, watch.onService)
  watch.stop()
  const flood = flooded ? await endFlood(rig, before) : NO_FLOOD
  if (defence !== null) await drain(() => defence.dropped() - before.dropped >= flood.reached)
  const after = rig.counters()
  const seconds = (performance.now() - start) / 1000
  const dropped = defence === null ? 0 : defence.dropped() - before.dropped
  return {
    name,
    seconds,
    flood,
    rule: defence === null ? null : { dropped, serviceDropped: defence.serviceDropped?.() ?? null },
    service: serviceFigures(result),
    victimCoreBusy:
      before.victimCpuMs === null || after.victimCpuMs === null
        ? null
        : Math.min(1, (after.victimCpuMs - before.victimCpuMs) / (seconds * 1000)),
  }
}

async function endFlood(rig: DemoRig, before: { reached: number; ringLoss: number }): Promise<FloodFigures> {
  const { sent, elapsedMs, heldBack } = await rig.generator.stop()
  await sleep(DRAIN_MS)
  const { reached, ringLoss } = rig.counters()
  return {
    offeredPps: Math.round((sent * 1000) / elapsedMs),
    sent,
    reached: reached - before.reached,
    ringLoss: ringLoss - before.ringLoss,
    heldBack,
  }
}

/** Waits for the rest of a flood that the victim's core has not come to yet. */
async function drain(isDrained: () => boolean): Promise<void> {
  const end = performance.now() + MOST_DRAIN_MS
  while (!isDrained() && performance.now() < end) await sleep(DRAIN_MS)
}

/** Tells the watcher several times a second how things stand. */
function watchProgress(
  rig: DemoRig,
  options: DemoOptions,
  phase: PhaseName,
  durationMs: number,
  defence: Defence | null,
) {
  const start = performance.now()
  const latenciesMs: number[] = []
  let counts = { requests: 0, failed: 0 }
  const readDropped = () => (defence?.isCheap ? defence.dropped() : 0)
  const read = () => ({ at: performance.now(), ...rig.counters(), dropped: readDropped() })
  let last = read()
  const timer = setInterval(() => {
    const now = read()
    const perSecond = (amount: number) => (amount * 1000) / (now.at - last.at)
    const lostPps = perSecond(now.ringLoss - last.ringLoss)
    options.onEvent({
      kind: 'progress',
      progress: {
        phase,
        elapsedMs: now.at - start,
        durationMs,
        offeredPps: perSecond(now.reached - last.reached) + lostPps,
        droppedPps: perSecond(now.dropped - last.dropped),
        lostPps,
        service: serviceFigures({ ...counts, latenciesMs }),
      },
    })
    last = now
  }, PROGRESS_MS)
  return {
    onService(progress: MeasureProgress) {
      counts = progress
      latenciesMs.push(...progress.latenciesMs)
    },
    stop: () => clearInterval(timer),
  }
}

function serviceFigures({
  requests,
  failed,
  latenciesMs,
}: Pick<MeasureResult, 'requests' | 'failed' | 'latenciesMs'>): ServiceFigures {
  return { requests, failed, p50Ms: percentile(latenciesMs, 50), p99Ms: percentile(latenciesMs, 99) }
}
