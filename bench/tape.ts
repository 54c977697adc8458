import { DESCRIPTOR_BYTES, type Space } from '../src/memory/index.js'
import {
  brIf,
  encodeModule,
  end,
  get,
  type Instruction,
  i32,
  instantiate,
  loop,
  op,
  set,
  tee,
} from '../src/wasm/index.js'

/** Entries that come again and again, which a loop of WebAssembly lays into descriptors and frames. */
export interface Tape {
  /** Entries that can be had at once, of so many. */
  ahead(most: number): number
  /** Lays the next `count` into the descriptors at address `to` and behind it. */
  lay(to: number, count: number): void
  close(): void
}

/**
 * A tape of entries of one length. `body` lays one: it has the address of the
 * entry in local `from`, that of the descriptor in `to`, and `packet` for itself.
 * One call of WebAssembly a bundle, so that a source costs little beside what is measured.
 */
export function openTape(
  space: Space,
  name: string,
  entries: readonly Uint8Array[],
  body: readonly Instruction[],
): Tape {
  const entryBytes = entries[0]!.length
  const region = space.reserve({ name: `tape ${name}`, kind: 'table', bytes: entries.length * entryBytes })
  for (const [index, entry] of entries.entries()) space.bytes.set(entry, region.offset + index * entryBytes)
  const run = loadLoop(space, entryBytes, body)
  let next = 0
  return {
    ahead: (most) => Math.min(most, entries.length - next),
    lay(to, count) {
      run(to, region.offset + next * entryBytes, region.offset + (next + count) * entryBytes)
      next = next + count === entries.length ? 0 : next + count
    },
    close: () => space.free(region.name),
  }
}

/** (to, from, end) */
function loadLoop({ memory }: Space, entryBytes: number, body: readonly Instruction[]) {
  const bytes = encodeModule({
    memory: {
      module: 'env',
      field: 'memory',
      minimumPages: 1,
      maximumPages: memory.buffer.byteLength / 65_536,
      shared: true,
    },
    imports: [],
    functions: [
      {
        name: 'lay',
        exported: true,
        parameters: ['to', 'from', 'end'].map((name) => ({ name, type: 'i32' })),
        results: [],
        locals: [{ name: 'packet', type: 'i32' }],
        body: [
          loop('next'),
          ...body,
          ...[get('to'), i32(DESCRIPTOR_BYTES), op('i32.add'), set('to')],
          ...[get('from'), i32(entryBytes), op('i32.add'), tee('from'), get('end'), op('i32.lt_u'), brIf('next')],
          end,
        ],
      },
    ],
  })
  return instantiate(bytes, { env: { memory } })['lay']!
}
