import {
  alu64,
  atomic,
  call,
  callLocal,
  exit,
  helperId,
  type Item,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  loadMapValue,
  type MapSpec,
  mov64,
  POLICY_STATE,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R7,
  R8,
  R9,
  R10,
  SAMPLE_HEADER,
  SAMPLES,
  STATE,
  store,
} from '../../../ebpf/index.js'
import type { SampleAction } from './action.js'
import { CONTEXT, type Parts, type PolicyLayout, SLOT_KEY, STATE_MAP } from './parts.js'

/** The ring buffer's map; it is kept while programs are swapped. */
export function sampleMap({ sampleBytes }: PolicyLayout): MapSpec {
  return { name: SAMPLES, kind: 'ring-buffer', keyBytes: 0, valueBytes: 0, maxEntries: sampleBytes }
}

/** Draws, and copies the packet's start into the ring buffer; a full one is counted. */
export function sample(parts: Parts, { oneIn, bytes }: SampleAction): Item[] {
  const skip = parts.uniqueLabel()
  return [
    ...(oneIn === 1
      ? []
      : [call(helperId('bpf_get_prandom_u32')), jumpIf32(R0, '>=', Math.floor(2 ** 32 / oneIn), skip)]),
    ...parts.lengthInto(R3),
    mov64(R1, CONTEXT),
    load('u32', R2, R10, SLOT_KEY),
    callLocal(parts.useFunction(`sample ${bytes}`, () => sampleFunction(parts, bytes))),
    label(skip),
  ]
}

/** void sample(context, slot, wire length): a record's size has to be a constant, so there is one for each. */
function sampleFunction(parts: Parts, bytes: number): Item[] {
  parts.useMap(sampleMap(parts.layout))
  parts.useMap(STATE_MAP)
  const at = (name: string) => `sample ${bytes} ${name}`
  return [
    mov64(R6, R1),
    mov64(R7, R2),
    mov64(R8, R3),
    loadMap(R1, SAMPLES),
    mov64(R2, SAMPLE_HEADER.bytes + bytes),
    mov64(R3, 0),
    call(helperId('bpf_ringbuf_reserve')),
    jumpIf(R0, '==', 0, at('lost')),
    mov64(R9, R0),
    call(helperId('bpf_ktime_get_ns')),
    store('u64', R9, SAMPLE_HEADER.timeNs, R0),
    store('u32', R9, SAMPLE_HEADER.slot, R7),
    store('u32', R9, SAMPLE_HEADER.wireLength, R8),
    mov64(R4, R8),
    jumpIf(R4, '<=', bytes, at('cut')),
    mov64(R4, bytes),
    label(at('cut')),
    store('u32', R9, SAMPLE_HEADER.captured, R4),
    jumpIf(R4, '==', 0, at('discard')),
    mov64(R1, R6),
    mov64(R2, 0),
    mov64(R3, R9),
    alu64('add', R3, SAMPLE_HEADER.bytes),
    call(helperId('bpf_xdp_load_bytes')),
    jumpIf(R0, '!=', 0, at('discard')),
    mov64(R1, R9),
    mov64(R2, 0),
    call(helperId('bpf_ringbuf_submit')),
    mov64(R0, 0),
    exit(),
    label(at('discard')),
    mov64(R1, R9),
    mov64(R2, 0),
    call(helperId('bpf_ringbuf_discard')),
    mov64(R0, 0),
    exit(),
    label(at('lost')),
    loadMapValue(R1, POLICY_STATE),
    mov64(R2, 1),
    atomic('add', 'u64', R1, STATE.samplesLost, R2),
    mov64(R0, 0),
    exit(),
  ]
}
