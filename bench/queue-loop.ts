import type { Code, Space } from '../src/memory/index.js'
import type { Locking, SharedQueuePlace } from '../src/transmit/index.js'
import {
  access,
  brIf,
  call,
  encodeModule,
  end,
  get,
  type Instruction,
  i32,
  instantiate,
  loop,
  op,
  tee,
  type ValueType,
} from '../src/wasm/index.js'

/** What a loop does in each turn: puts a bundle in and takes it out, or finds the queue empty and leaves it where it is. */
export type Turn = 'queued' | 'bypass'

const CODE = {
  lockless: { push: 'sharedPush', pull: 'sharedPull', ready: 'sharedReady' },
  locked: { push: 'lockedPush', pull: 'lockedPull', ready: 'lockedReady' },
} as const satisfies Record<Locking, object>

const NUMBERS = ['turns', 'queue', 'side', 'own', 'bundle', 'count']

/**
 * So many turns of one thread that is producer 0 and consumer of a queue, in a
 * loop of WebAssembly: calls from TypeScript would cost as much as what they
 * measure, and differently from one way to the next.
 */
export function loadLoop(space: Space, code: Code, place: SharedQueuePlace, turn: Turn) {
  const names = CODE[place.locking]
  const functions = { push: 3, pull: 5, ready: 2 } as const
  const module = encodeModule({
    memory: {
      module: 'env',
      field: 'memory',
      minimumPages: 1,
      maximumPages: space.memory.buffer.byteLength / 65_536,
      shared: true,
    },
    imports: Object.entries(functions).map(([name, count]) => ({
      module: 'env',
      field: name,
      name,
      parameters: Array.from({ length: count }, (): ValueType => 'i32'),
      results: ['i32'],
    })),
    functions: [
      {
        name: 'run',
        exported: true,
        parameters: NUMBERS.map((name) => ({ name, type: 'i32' })),
        results: [],
        locals: [],
        body: [
          loop('again'),
          get('bundle'),
          get('count'),
          access('i32.store', 0),
          ...(turn === 'queued' ? QUEUED : BYPASS),
          ...[get('turns'), i32(1), op('i32.sub'), tee('turns'), brIf('again')],
          end,
        ],
      },
    ],
  })
  const imported = { push: code.find(names.push), pull: code.find(names.pull), ready: code.find(names.ready) }
  const run = instantiate(module, { env: { memory: space.memory, ...imported } })['run']!
  const own = place.sides + place.producers * SIDE_BYTES
  return (bundle: number, turns: number, count: number) => {
    run(turns, place.address, place.sides, own, bundle, count)
  }
}

const SIDE_BYTES = 64

const QUEUED: readonly Instruction[] = [
  ...[get('queue'), get('side'), get('bundle'), call('push'), op('drop')],
  ...[get('queue'), get('own'), i32(0), get('bundle'), get('count'), call('pull'), op('drop')],
]

const BYPASS: readonly Instruction[] = [get('queue'), get('own'), call('ready'), op('drop')]
