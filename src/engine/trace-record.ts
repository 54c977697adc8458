import type { TracedPacket, TracePart } from './trace.js'

/** Puts together what threads have seen of packets. */
export interface TraceRecord {
  add(parts: readonly TracePart[], worker?: string): void
  /** Packets whose ways have ended, in the order of their numbers; all that are known where `isOver`. */
  take(isOver: boolean): TracedPacket[]
  /** Packets that were taken. */
  taken(): number
  /** How long nothing has been added or taken. */
  silentMs(): number
}

/** A packet that was not seen for so long is not waited for: its worker has ended, or a stage has thrown it away. */
export const PATIENCE_MS = 1000

type Step = TracedPacket['steps'][number]

interface Entry {
  readonly parts: (TracePart & { readonly named: readonly Step[] })[]
  seenAt: number
}

export function openTraceRecord(): TraceRecord {
  const entries = new Map<number, Entry>()
  let taken = 0
  let heardAt = performance.now()

  const hasEnded = ({ parts }: Entry) =>
    parts.some(({ arrival }) => arrival !== null) && parts.reduce((sum, { left, came }) => sum + left - came, 0) === 0

  return {
    add(parts, worker) {
      const now = performance.now()
      for (const part of parts) {
        const entry = entries.get(part.number) ?? { parts: [], seenAt: now }
        const named = worker === undefined ? part.steps : part.steps.map((step) => ({ ...step, worker }))
        entry.parts.push({ ...part, named })
        entry.seenAt = now
        entries.set(part.number, entry)
        heardAt = now
      }
    },
    take(isOver) {
      const now = performance.now()
      const ended = [...entries].filter(([, entry]) => isOver || hasEnded(entry) || now - entry.seenAt > PATIENCE_MS)
      for (const [number] of ended) entries.delete(number)
      const packets = ended
        .sort(([one], [other]) => one - other)
        .flatMap(([number, { parts }]) => packetOf(number, parts) ?? [])
      taken += packets.length
      if (packets.length > 0) heardAt = now
      return packets
    },
    taken: () => taken,
    silentMs: () => performance.now() - heardAt,
  }
}

/** Null where nobody has told how it came: that thread has ended before it could. */
function packetOf(number: number, parts: Entry['parts']): TracedPacket | null {
  const inOrder = parts.toSorted((one, other) => one.order - other.order)
  const arrival = inOrder.find((part) => part.arrival !== null)?.arrival
  return arrival == null ? null : { number, ...arrival, steps: inOrder.flatMap(({ named }) => named) }
}
