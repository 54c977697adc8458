import { z } from 'zod'
import type { StageStatistics } from '../../engine/index.js'
import type { PolicyCount, RuleCount } from '../../loader/index.js'
import type { Layout } from '../../memory/index.js'
import type { ActionKind, Mode } from '../../policy/index.js'
import type { QueueStatistics } from '../../transmit/index.js'
import type { RouterFlows } from '../router/router-flows.js'
import type { TracedPacket } from './trace.js'

/**
 * What a service is asked over its control socket: a JSON document a line, and
 * one line as the answer to each, in order. Requests of another version are
 * refused by a sentence, so that commands and services of two installations
 * never misunderstand each other.
 */
export const PROTOCOL = 1

/** A rule with many addresses, or many addresses for a set, are to fit. */
export const MOST_REQUEST_BYTES = 4 << 20
/** What lists a hundred thousand rules. */
export const MOST_ANSWER_BYTES = 64 << 20

/** Connections of one answer: 300 bytes each fit. */
export const MOST_FLOWS = 100_000

/** Where a rule goes among those that are in force. */
const place = () =>
  z.union([z.enum(['first', 'last']), z.strictObject({ before: z.string() }), z.strictObject({ after: z.string() })])
export type RulePlace = z.infer<ReturnType<typeof place>>

const addresses = () => z.array(z.string()).max(100_000)

const makeRequestSchema = () =>
  z.discriminatedUnion('do', [
    z.strictObject({ do: z.literal('status') }),
    z.strictObject({ do: z.literal('list') }),
    z.strictObject({ do: z.literal('memory') }),
    z.strictObject({ do: z.literal('stages') }),
    // What waits before the devices.
    z.strictObject({ do: z.literal('queues') }),
    // The connections of a router.
    z.strictObject({ do: z.literal('flows'), address: z.string().nullable(), limit: z.int().min(1).max(MOST_FLOWS) }),
    // Time a packet is measured until the connection ends.
    z.strictObject({ do: z.literal('watch') }),
    // Packets are followed until the connection ends, and handed over by `traced`.
    z.strictObject({ do: z.literal('trace'), expression: z.string(), limit: z.int().min(1).max(10_000) }),
    z.strictObject({ do: z.literal('traced') }),
    // Packets that pass an edge are copied until the connection ends, and handed over by `captured`.
    z.strictObject({
      do: z.literal('capture'),
      edge: z.string(),
      expression: z.string().nullable(),
      limit: z.int().min(1).nullable(),
    }),
    z.strictObject({ do: z.literal('captured') }),
    // A listener stands at a hook of a router until the connection ends; `heard` tells what it has been about.
    z.strictObject({ do: z.literal('listen'), listener: z.string() }),
    z.strictObject({ do: z.literal('heard') }),
    // The rule is as a policy has it; the policy's own schema judges it.
    z.strictObject({ do: z.literal('add'), rule: z.unknown(), place: place() }),
    z.strictObject({ do: z.literal('remove'), name: z.string() }),
    z.strictObject({ do: z.literal('change set'), set: z.string(), add: addresses(), remove: addresses() }),
  ])
type RequestSchema = ReturnType<typeof makeRequestSchema>
export type Request = z.infer<RequestSchema>

/** What each request is answered with where it succeeds. */
export interface Results {
  readonly status: ServiceStatus
  readonly list: RuleList
  readonly memory: Layout
  readonly stages: readonly EngineStages[]
  readonly queues: readonly DeviceQueue[]
  readonly flows: RouterFlows
  readonly watch: null
  readonly trace: null
  readonly traced: { readonly packets: readonly TracedPacket[]; readonly isDone: boolean }
  readonly capture: null
  readonly captured: CapturedPackets
  readonly listen: null
  readonly heard: HeardPackets
  readonly add: ChangeReport
  readonly remove: ChangeReport
  readonly 'change set': SetReport
}

/** What a listener at a hook has been about, since it is there. */
export interface HeardPackets {
  readonly packets: number
  /** On the wire. */
  readonly bytes: number
  /** Of a mirror: those of which it has made a copy. */
  readonly copied?: number
}

/** What has passed an edge since the last time. */
export interface CapturedPackets {
  readonly packets: readonly SentPacket[]
  /** Packets that were not copied, because too much waited to be fetched; since the begin. */
  readonly lost: number
  readonly isDone: boolean
}

/** A packet of a capture on its way to a command. */
export interface SentPacket {
  /** Base64 (RFC 4648). */
  readonly data: string
  readonly wireLength: number
  readonly seconds: number
  readonly nanoseconds: number
}

/** What runs, where, and since when. */
export interface ServiceStatus {
  readonly pid: number
  /** The command, or what a program calls its engine. */
  readonly name: string
  /** `rule` is one rule, which is not to be changed. */
  readonly kind: 'policy' | 'rule' | 'engine'
  /** Where its packets come from, as `--device` names them; none where nobody has said. */
  readonly devices: readonly string[]
  /** `native` or `generic`; where devices differ, of each of them. */
  readonly mode: string | null
  /** As the kernel numbers it, and bpftool shows it. */
  readonly programId: number | null
  /** ISO 8601. */
  readonly since: string
  readonly dropped: number
  /** By reason: what could not be handed on, counted or sampled. */
  readonly losses: Readonly<Record<string, number>>
  readonly policy: PolicyStatus | null
}

export interface PolicyStatus {
  readonly file: string | null
  readonly rules: number
  readonly sets: number
  /** How many changes of commands stand beside the file. */
  readonly changes: { readonly added: number; readonly removed: number; readonly sets: number }
}

export interface ListedRule extends PolicyCount {
  readonly name: string
  readonly match: string
  readonly action: ActionKind
  readonly mode: Mode
  /** Seconds until it ends, 0 when it has; null: it does not end. */
  readonly secondsLeft: number | null
  /** By a command, and not by the policy's file. */
  readonly isAdded: boolean
}

export interface ListedSet {
  readonly name: string
  /** Prefixes; a single address is one. */
  readonly ipv4: number
  readonly ipv6: number
}

export interface RuleList {
  readonly rules: readonly ListedRule[]
  readonly sets: readonly ListedSet[]
  readonly kept: RuleCount
  readonly keptPrefixes: readonly string[]
}

/** The stages of one engine, or of one worker. */
export interface EngineStages {
  readonly name: string
  readonly stages: readonly StageStatistics[]
}

/** What waits before a device, and what its queue has done. */
export interface DeviceQueue extends QueueStatistics {
  readonly name: string
}

export interface ChangeReport {
  readonly name: string
  readonly rules: number
  readonly warnings: readonly string[]
}

export interface SetReport extends ListedSet {
  readonly before: Omit<ListedSet, 'name'>
}

const makeAnswerSchema = () =>
  z.union([
    z.strictObject({ v: z.literal(PROTOCOL), result: z.unknown() }),
    z.strictObject({ v: z.literal(PROTOCOL), error: z.string(), isInput: z.boolean() }),
  ])
type AnswerSchema = ReturnType<typeof makeAnswerSchema>
export type Answer = z.infer<AnswerSchema>

let requests: RequestSchema | undefined
let answers: AnswerSchema | undefined

/** Made when somebody asks: zod takes longer to load than a rule to be in force. */
export function requestSchema(): RequestSchema {
  requests ??= makeRequestSchema()
  return requests
}

function answerSchema(): AnswerSchema {
  answers ??= makeAnswerSchema()
  return answers
}

/** A line that is no request, or no answer: one sentence. */
export class ProtocolError extends Error {
  override name = 'ProtocolError'
}

export function writeRequest(request: Request): string {
  return `${JSON.stringify({ v: PROTOCOL, ...request })}\n`
}

/** Throws ProtocolError. */
export function readRequest(line: string): Request {
  const { v, ...rest } = readObject(line)
  if (v !== PROTOCOL)
    throw new ProtocolError(
      `this service speaks version ${PROTOCOL} of the protocol and not ${shown(v)}; use the sluice that it was started with`,
    )
  const request = requestSchema().safeParse(rest)
  if (request.success) return request.data
  const [issue] = request.error.issues
  if (issue!.path[0] === 'do')
    throw new ProtocolError(`this service has no request ${shown(rest['do'])}; its requests are ${requestNames()}`)
  throw new ProtocolError(
    `the request ${shown(rest['do'])} is not as it has to be at "${issue!.path.join('.')}": ${issue!.message}`,
  )
}

/** Throws ProtocolError. */
export function readAnswer(line: string): Answer {
  const answer = answerSchema().safeParse(readObject(line))
  if (answer.success) return answer.data
  throw new ProtocolError(
    `the service answers in another version of the protocol than ${PROTOCOL}; use the sluice that it was started with`,
  )
}

function readObject(line: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new ProtocolError(`a line is not JSON: ${shown(line)}; send one document a line`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new ProtocolError(`a line is no JSON object: ${shown(line)}; send one a line`)
}

const requestNames = () =>
  requestSchema()
    .options.map(({ shape }) => `"${shape.do.value}"`)
    .join(', ')

const MOST_SHOWN = 60

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none'
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}
