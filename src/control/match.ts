import { type Capture, type CaptureWriter, createCapture, openCapture } from '../device/index.js'
import { formatFilterError, type NameResolver } from '../filter/index.js'
import { asFilterError } from './filter-error.js'
import { checkLinkType } from './link-type.js'
import { createFrameSlot, type FrameSlot, type MatchEngine, type Matcher, openMatcher } from './matcher.js'

/** Which packets of which capture are asked for. */
export interface MatchRequest {
  /** Path of a capture, `-` for standard input. */
  readonly file: string
  readonly expressions: readonly string[]
  readonly engine: MatchEngine
  /** Where the packets that match the first expression are written, `-` for standard output; null: nowhere. */
  readonly output: string | null
  /** What host names mean; without it they are refused. */
  readonly resolver?: NameResolver | undefined
  /** Whether an expression that cannot be used is thrown, or reported in its place. */
  readonly refuse: 'throw' | 'report'
}

/** What one expression matched: packet numbers from 1; or why it could not be used. */
export interface MatchResult {
  readonly numbers: readonly number[]
  readonly refusal: string | null
}

export interface MatchReport {
  readonly file: string
  readonly linkType: string
  /** Packets that were read. */
  readonly packets: number
  /** One an expression, in order. */
  readonly results: readonly MatchResult[]
  /** Packets that the kernel does not try programs on; the interpreter judged them. */
  readonly interpreted: number
  /** Where the capture is broken: how, after the packets before the break. */
  readonly error: string | null
}

/** An expression in use: its matcher, or why there is none. */
interface Candidate {
  readonly matcher: Matcher | null
  readonly numbers: number[]
  readonly refusal: string | null
}

/**
 * Reads a capture once and asks every expression about every packet. Throws
 * CaptureError or LinkTypeError where it cannot be read, FilterError for an expression that
 * cannot be used, and LoadError where the kernel will not run it.
 */
export function matchCapture(request: MatchRequest): MatchReport {
  const capture = openCapture(request.file)
  let candidates: Candidate[] = []
  try {
    checkLinkType(capture.linkType, request.file)
    const slot = createFrameSlot()
    candidates = request.expressions.map((text) => openCandidate(text, capture.linkType, request, slot))
    const writer = request.output === null ? null : createCapture(request.output, headerOf(capture))
    try {
      const packets = judge(capture, candidates, writer)
      writer?.finish()
      return {
        file: request.file,
        linkType: capture.linkType,
        packets,
        results: candidates.map(({ numbers, refusal }) => ({ numbers, refusal })),
        interpreted: Math.max(0, ...candidates.map(({ matcher }) => matcher?.interpreted() ?? 0)),
        error: capture.error?.message ?? null,
      }
    } finally {
      writer?.discard()
    }
  } finally {
    for (const { matcher } of candidates) matcher?.close()
    capture.close()
  }
}

function openCandidate(text: string, linkType: string, request: MatchRequest, slot: FrameSlot): Candidate {
  const { engine, refuse, resolver } = request
  try {
    return { matcher: openMatcher(text, linkType, engine, slot, resolver), numbers: [], refusal: null }
  } catch (error) {
    const refusal = asFilterError(error, text)
    if (refusal === null) throw error
    if (refuse === 'throw') throw refusal
    return { matcher: null, numbers: [], refusal: formatFilterError(refusal) }
  }
}

/** The number of packets read. */
function judge(capture: Capture, candidates: readonly Candidate[], writer: CaptureWriter | null): number {
  let number = 0
  for (const packet of capture.packets()) {
    number++
    for (const candidate of candidates) {
      if (candidate.matcher?.matches(packet.data, packet.wireLength)) {
        candidate.numbers.push(number)
        if (candidate === candidates[0]) writer?.write(packet)
      }
    }
  }
  return number
}

function headerOf({ linkTypeNumber, snapLength, resolution }: Capture) {
  return { linkTypeNumber, snapLength, resolution }
}
