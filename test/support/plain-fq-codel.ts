/** A packet as the plain queue sees it. */
export interface PlainPacket {
  readonly id: number
  readonly flow: number
  readonly bytes: number
  readonly sinceMs: number
  /** The two bits of RFC 3168: 0 where the sender does not hear of congestion, 3 where it is told. */
  ecn: number
}

export interface PlainOptions {
  readonly packets: number
  readonly quantumBytes: number
  readonly targetMs: number
  readonly intervalMs: number
  readonly marksEcn: boolean
}

interface Flow {
  readonly packets: PlainPacket[]
  deficit: number
  count: number
  lastCount: number
  isDropping: boolean
  firstAboveMs: number
  dropNextMs: number
}

/**
 * FQ-CoDel as one writes it from RFC 8290, 4.1 and 4.2, and RFC 8289, 5.5 and
 * 5.6, with arrays; `drops` says which packets it has dropped, and why.
 */
export function plainFqCodel({ packets: most, quantumBytes, targetMs, intervalMs, marksEcn }: PlainOptions) {
  const flows = new Map<number, Flow>()
  let newFlows: Flow[] = []
  let oldFlows: Flow[] = []
  const drops = { full: [] as number[], codel: [] as number[] }
  const bytesOf = ({ packets }: Flow) => packets.reduce((sum, { bytes }) => sum + bytes, 0)
  const controlLaw = (atMs: number, count: number) => atMs + intervalMs / Math.sqrt(count)

  function put(packet: PlainPacket): void {
    const flow = flows.get(packet.flow) ?? {
      packets: [],
      deficit: 0,
      count: 0,
      lastCount: 0,
      isDropping: false,
      firstAboveMs: 0,
      dropNextMs: 0,
    }
    flows.set(packet.flow, flow)
    flow.packets.push(packet)
    if (!newFlows.includes(flow) && !oldFlows.includes(flow)) {
      flow.deficit = quantumBytes
      newFlows.push(flow)
    }
    const count = [...flows.values()].reduce((sum, { packets }) => sum + packets.length, 0)
    if (count > most) dropFromLongest()
  }

  function dropFromLongest(): void {
    let longest: Flow | null = null
    // The first of those that are as long, by the number of their queue.
    for (const [, flow] of [...flows].sort(([one], [other]) => one - other))
      if (longest === null || bytesOf(flow) > bytesOf(longest)) longest = flow
    const goal = Math.floor(bytesOf(longest!) / 2)
    for (let dropped = 0; dropped < 64 && bytesOf(longest!) > goal; dropped++)
      drops.full.push(longest!.packets.shift()!.id)
  }

  function take(nowMs: number): PlainPacket | null {
    for (;;) {
      const list = newFlows.length > 0 ? newFlows : oldFlows
      const flow = list[0]
      if (flow === undefined) return null
      if (flow.deficit <= 0) {
        flow.deficit += quantumBytes
        list.shift()
        oldFlows = [...oldFlows, flow]
        continue
      }
      const packet = codel(flow, nowMs)
      if (packet !== null) {
        flow.deficit -= packet.bytes
        return packet
      }
      const wasNew = list === newFlows
      if (wasNew) newFlows = newFlows.slice(1)
      else oldFlows = oldFlows.slice(1)
      if (wasNew && oldFlows.length > 0) oldFlows = [...oldFlows, flow]
    }
  }

  /** dodequeue of RFC 8289. */
  function next(flow: Flow, nowMs: number): { packet: PlainPacket | null; okToDrop: boolean } {
    const packet = flow.packets.shift() ?? null
    if (packet === null || nowMs - packet.sinceMs < targetMs || bytesOf(flow) <= quantumBytes) {
      flow.firstAboveMs = 0
      return { packet, okToDrop: false }
    }
    if (flow.firstAboveMs === 0) flow.firstAboveMs = nowMs + intervalMs
    else if (nowMs >= flow.firstAboveMs) return { packet, okToDrop: true }
    return { packet, okToDrop: false }
  }

  /** True where the packet goes on, marked; else it is dropped. */
  function markInstead(packet: PlainPacket): boolean {
    const isMarked = marksEcn && packet.ecn !== 0
    if (isMarked) packet.ecn = 3
    else drops.codel.push(packet.id)
    return isMarked
  }

  function codel(flow: Flow, nowMs: number): PlainPacket | null {
    let { packet, okToDrop } = next(flow, nowMs)
    if (flow.isDropping) {
      if (!okToDrop) flow.isDropping = false
      while (nowMs >= flow.dropNextMs && flow.isDropping) {
        flow.count++
        if (markInstead(packet!)) {
          flow.dropNextMs = controlLaw(flow.dropNextMs, flow.count)
          return packet
        }
        ;({ packet, okToDrop } = next(flow, nowMs))
        if (!okToDrop) flow.isDropping = false
        else flow.dropNextMs = controlLaw(flow.dropNextMs, flow.count)
      }
    } else if (okToDrop) {
      if (!markInstead(packet!)) ({ packet } = next(flow, nowMs))
      flow.isDropping = true
      const delta = flow.count - flow.lastCount
      flow.count = delta > 1 && nowMs - flow.dropNextMs < 16 * intervalMs ? delta : 1
      flow.dropNextMs = controlLaw(nowMs, flow.count)
      flow.lastCount = flow.count
    }
    return packet
  }

  return { put, take, drops }
}
