import type { Space } from '../../src/memory/index.js'
import {
  HOP_ADDRESSES,
  HOP_BUCKETS,
  HOP_BYTES,
  HOP_WAY,
  KIND_BLACKHOLE,
  KIND_FORWARD,
  KIND_GROUP,
  KIND_LOCAL,
  KIND_NONE,
  KIND_PROHIBIT,
  KIND_UNREACHABLE,
  KIND_UNRESOLVED,
  type RoutesPlace,
  TABLES_BUCKETS,
  TABLES_HOPS,
  WAY_KIND_SHIFT,
  WAY_PORT_MASK,
} from '../../src/route/index.js'

/** What the tables say of a next hop: its port by name and the neighbour's hardware address, of a group each with its buckets, or its kind. */
export function describeHop(space: Space, tables: RoutesPlace, ports: readonly string[], id: number): string {
  const head = (field: number) => space.words[(tables.address + field) / 4]!
  const line = head(TABLES_HOPS) + id * HOP_BYTES
  const way = space.words[(line + HOP_WAY) / 4]!
  const port = ports[way & WAY_PORT_MASK]!
  const kind = way >>> WAY_KIND_SHIFT
  switch (kind) {
    case KIND_FORWARD:
      return `${port} ${Buffer.from(space.bytes.slice(line + HOP_ADDRESSES, line + HOP_ADDRESSES + 6)).toString('hex')}`
    case KIND_UNRESOLVED:
      return `${port} ?`
    case KIND_GROUP: {
      const first = head(TABLES_BUCKETS) / 4 + space.words[(line + HOP_BUCKETS) / 4]!
      const buckets = [...space.words.slice(first, first + 64)]
      const counts = new Map<string, number>()
      for (const hop of buckets) {
        const text = describeHop(space, tables, ports, hop)
        counts.set(text, (counts.get(text) ?? 0) + 1)
      }
      return [...counts]
        .sort()
        .map(([hop, count]) => `${hop} ${count}`)
        .join(', ')
    }
    default:
      return KINDS[kind] ?? 'nothing'
  }
}

const KINDS: Readonly<Record<number, string>> = {
  [KIND_NONE]: 'none',
  [KIND_LOCAL]: 'local',
  [KIND_BLACKHOLE]: 'blackhole',
  [KIND_UNREACHABLE]: 'unreachable',
  [KIND_PROHIBIT]: 'prohibit',
}
