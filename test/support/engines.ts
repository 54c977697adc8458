import assert from 'node:assert/strict'
import { compileRule } from '../../src/compile.js'
import { type MatchEngine, openMatcher } from '../../src/control/matcher.js'
import { prepare, XDP } from '../../src/ebpf/index.js'
import { interpret } from '../../src/ir/index.js'

/** A packet as captured. */
export interface CapturedPacket {
  readonly bytes: Uint8Array
  readonly wireLength: number
}

/** One way to ask one expression about packets. */
interface Engine {
  matches(packet: CapturedPacket): boolean
  close(): void
}

/** How an expression is read: as for packets of a capture file. */
interface Reading {
  readonly linkType: string
  readonly netmask?: number
}

/** Every engine that must give one answer, by name; a new one is added here. */
const ENGINES: Readonly<Record<string, (text: string, reading: Reading) => Engine>> = {
  kernel: (text, { linkType }) => matcherAsEngine(text, linkType, 'ebpf'),
  WebAssembly: (text, { linkType }) => matcherAsEngine(text, linkType, 'wasm'),
  'eBPF interpreter'(text, reading) {
    const rule = { match: text, action: 'drop' } as const
    const { program } = compileRule(rule, { ...reading, live: false, counters: false, wireLength: 'metadata' })
    const machine = prepare(program)
    const metadata = new Uint8Array(4)
    const view = new DataView(metadata.buffer)
    return {
      matches({ bytes, wireLength }) {
        view.setUint32(0, wireLength, true)
        const outcome = machine.run(bytes, { metadata })
        assert.equal(outcome.kind, 'return', `${text}: the interpreter found a fault`)
        return outcome.kind === 'return' && outcome.value === XDP.drop
      },
      close() {},
    }
  },
  'IR interpreter'(text, reading) {
    const { graph } = compileRule({ match: text, action: 'drop' }, { ...reading, live: false })
    return { matches: (packet) => interpret(graph, packet) !== null, close() {} }
  },
}

function matcherAsEngine(text: string, linkType: string, engine: MatchEngine): Engine {
  const { matches, close } = openMatcher(text, linkType, engine)
  return { matches: ({ bytes, wireLength }) => matches(bytes, wireLength), close }
}

/** The expression in every engine. Throws what compiling it throws. */
export function openEngines(text: string, reading: Reading): { readonly name: string; readonly engine: Engine }[] {
  return Object.entries(ENGINES).map(([name, open]) => ({ name, engine: open(text, reading) }))
}
