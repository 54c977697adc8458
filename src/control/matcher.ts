import { emitMatcher, loadMatcher, VERDICT_BYTES } from '../codegen/index.js'
import { compileFilter, compileRule } from '../compile.js'
import { XDP } from '../ebpf/index.js'
import type { NameResolver } from '../filter/index.js'
import { type Graph, interpret } from '../ir/index.js'
import { prepareTestRun } from '../kernel/index.js'
import { loadProgram } from '../loader/index.js'
import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED, DESCRIPTOR_WIRE } from '../memory/index.js'
import { createMemory, type LinearMemory, PAGE_BYTES } from '../wasm/index.js'

/**
 * `wasm`: machine code in this process, the fastest. `ebpf`: the program that
 * would run at the driver, run by the kernel. `interpreter`: the plain oracle.
 */
export type MatchEngine = 'wasm' | 'ebpf' | 'interpreter'

/** One expression, ready to be asked about packets of one link type. */
export interface Matcher {
  /** Bytes that were given once are taken to be as they were when they are given again. */
  matches(bytes: Uint8Array, wireLength: number): boolean
  /** Packets that the interpreter judged in the place of the kernel. */
  interpreted(): number
  close(): void
}

/**
 * Compiles and, for `ebpf`, loads. Matchers of one thread can share a `slot`.
 * Throws FilterError, UnsupportedError or LoadError.
 */
export function openMatcher(
  text: string,
  linkType: string,
  engine: MatchEngine,
  slot = createFrameSlot(),
  resolver?: NameResolver,
): Matcher {
  const options = { linkType, live: false, ...(resolver && { resolver }) }
  switch (engine) {
    case 'wasm':
      return openWasmMatcher(compileFilter(text, options).optimized, slot)
    case 'ebpf':
      return openKernelMatcher(text, options)
    case 'interpreter':
      return openInterpreter(compileFilter(text, options).graph)
  }
}

interface CaptureOptions {
  readonly linkType: string
  /** A capture file does not know which way its packets went. */
  readonly live: boolean
  readonly resolver?: NameResolver
}

function openInterpreter(graph: Graph): Matcher {
  return {
    matches: (bytes, wireLength) => interpret(graph, { bytes, wireLength }) !== null,
    interpreted: () => 0,
    close() {},
  }
}

/** Linear memory with room for one frame, its descriptor and its verdict. */
export interface FrameSlot {
  readonly memory: LinearMemory
  /** Puts the frame and its descriptor there, unless they are there from the last time. */
  put(bytes: Uint8Array, wireLength: number): void
  /** The rule that the last call of a matcher found, or NO_RULE. */
  verdict(): number
}

/** The descriptor stands at 0, the verdict behind it. */
const VERDICT_AT = DESCRIPTOR_BYTES
const FRAME_AT = VERDICT_AT + VERDICT_BYTES

/** Each memory reserves gigabytes of addresses, so a process with many matchers makes one slot for them all. */
export function createFrameSlot(): FrameSlot {
  const memory = createMemory(1)
  let bytes = new Uint8Array(memory.buffer)
  let words = new Int32Array(memory.buffer)
  let last: Uint8Array | null = null
  return {
    memory,
    put(frame, wireLength) {
      words[DESCRIPTOR_WIRE / 4] = wireLength
      if (frame === last) return
      last = frame
      const missing = FRAME_AT + frame.length - bytes.length
      if (missing > 0) {
        memory.grow(Math.ceil(missing / PAGE_BYTES))
        bytes = new Uint8Array(memory.buffer)
        words = new Int32Array(memory.buffer)
      }
      bytes.set(frame, FRAME_AT)
      words[DESCRIPTOR_ADDRESS / 4] = FRAME_AT
      words[DESCRIPTOR_CAPTURED / 4] = frame.length
    },
    verdict: () => words[VERDICT_AT / 4]!,
  }
}

function openWasmMatcher(graph: Graph, slot: FrameSlot): Matcher {
  const judge = loadMatcher(emitMatcher(graph), slot.memory)
  return {
    matches(bytes, wireLength) {
      slot.put(bytes, wireLength)
      judge(0, 1, VERDICT_AT)
      return slot.verdict() === 0
    },
    interpreted: () => 0,
    close() {},
  }
}

/** BPF_PROG_TEST_RUN takes no frame shorter than an Ethernet header. */
const SHORTEST_BYTES = 14
/** A 4 KiB page less headroom (256) and `struct skb_shared_info` (320): what a program sees of a longer frame. */
const LONGEST_BYTES = 3520
/** The wire length of a cut packet, which the program finds before the frame. */
const METADATA_BYTES = 4
/** Offsets in `struct xdp_md`, which for a test run count from the begin of the input. */
const CONTEXT = { data: 0, dataEnd: 4, bytes: 24 } as const

function openKernelMatcher(text: string, options: CaptureOptions): Matcher {
  const rule = { match: text, action: 'drop' } as const
  const { program, graph } = compileRule(rule, { ...options, counters: false, wireLength: 'metadata' })
  const loaded = loadProgram(program)
  const data = new Uint8Array(METADATA_BYTES + LONGEST_BYTES)
  const context = new Uint8Array(CONTEXT.bytes)
  const dataView = new DataView(data.buffer)
  const contextView = new DataView(context.buffer)
  contextView.setUint32(CONTEXT.data, METADATA_BYTES, true)
  const run = prepareTestRun({ fd: loaded.fd, data, context })
  let interpreted = 0
  return {
    matches(bytes, wireLength) {
      if (bytes.length < SHORTEST_BYTES || bytes.length > LONGEST_BYTES) {
        interpreted++
        return interpret(graph, { bytes, wireLength }) !== null
      }
      const lengthBytes = METADATA_BYTES + bytes.length
      dataView.setUint32(0, wireLength, true)
      data.set(bytes, METADATA_BYTES)
      contextView.setUint32(CONTEXT.dataEnd, lengthBytes, true)
      return run(lengthBytes) === XDP.drop
    },
    interpreted: () => interpreted,
    close: loaded.close,
  }
}
