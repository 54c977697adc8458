import type { RegionKind, Space } from '../memory/index.js'
import {
  FIELD_AT,
  FIELD_BYTES,
  FIELD_COUNT,
  FIELD_FIRST,
  FIELD_FLAGS,
  FIELD_IN_IP_SUM,
  FIELD_IN_ROUND,
  FIELD_IN_SUM,
  FIELD_IN_TURN,
  FIELD_IS_LONG,
  FIELD_NEXT,
  FIELD_RANGE,
  RANGE_BASE,
  RANGE_BYTES,
  RANGE_DIGIT,
  RANGE_SHIFT,
  RANGE_STEP,
  TEMPLATE_AT,
  TEMPLATE_BYTES,
  TEMPLATE_CHECKSUM,
  TEMPLATE_FIELD_COUNT,
  TEMPLATE_FIELDS,
  TEMPLATE_GAP,
  TEMPLATE_IP_CHECKSUM,
  TEMPLATE_IP_SUM,
  TEMPLATE_IS_UDP,
  TEMPLATE_LENGTH,
  TEMPLATE_STAMP,
  TEMPLATE_SUM,
  TEMPLATE_UNSTAMPED,
} from './formats.js'
import {
  type CompiledTemplate,
  compileTemplate,
  type RoundRange,
  type Template,
  type TemplateField,
} from './template.js'
import { UNSTAMPED } from './unstamped.js'

type Reserve = (what: string, kind: RegionKind, bytes: number) => number

/** Where the tables of a plan's templates begin. */
export interface TemplateTables {
  readonly templates: number
  readonly ranges: number
  readonly rangeCount: number
}

/** What the tables of these templates take of the memory, in bytes, beside what every region does. */
export function templateTableBytes(templates: readonly Template[]): number {
  const fields = countFields(listsOf(templates))
  // Of a template its place in the order, and the padding of its bytes.
  const each = templates.reduce((sum, { bytes }) => sum + bytes.length + TEMPLATE_BYTES + 16, 0)
  return each + fields * FIELD_BYTES
}

type Fields = Template['fields']

/** The lists of fields, each once. */
function listsOf(templates: readonly Template[]): ReadonlySet<Fields> {
  const lists = new Set<Fields>()
  for (const { fields } of templates) lists.add(fields)
  return lists
}

function countFields(lists: ReadonlySet<Fields>): number {
  let count = 0
  for (const list of lists) count += list.length
  return count
}

/** Bytes of all templates, then the tables that say how each is sent. */
export function writeTemplates(space: Space, reserve: Reserve, templates: readonly Template[]): TemplateTables {
  const { bytes, words, counters } = space
  const padded = (length: number) => Math.ceil(length / 8) * 8
  let at = reserve(
    'bytes',
    'table',
    templates.reduce((sum, template) => sum + padded(template.bytes.length), 8),
  )
  const table = reserve('templates', 'table', templates.length * TEMPLATE_BYTES)
  const lists = listsOf(templates)
  const ranges = writeRanges(words, reserve, lists)
  const writeFields = fieldWriter(words, reserve, lists, ranges.addressOf)
  templates.forEach((template, index) => {
    const compiled = compileTemplate(template)
    const { ip, transport } = compiled
    bytes.set(template.bytes, at)
    const row = table + index * TEMPLATE_BYTES
    // One by one: a capture may have a million packets, and an object for each took longer than all else.
    words[(row + TEMPLATE_AT) / 4] = at
    words[(row + TEMPLATE_LENGTH) / 4] = template.bytes.length
    words[(row + TEMPLATE_FIELDS) / 4] = writeFields(template, compiled)
    words[(row + TEMPLATE_FIELD_COUNT) / 4] = template.fields.length
    words[(row + TEMPLATE_STAMP) / 4] = template.stampAt ?? 0
    words[(row + TEMPLATE_UNSTAMPED) / 4] = UNSTAMPED.indexOf(template.unstamped ?? 'payload kept as it is')
    words[(row + TEMPLATE_IP_CHECKSUM) / 4] = ip?.at ?? 0
    words[(row + TEMPLATE_IP_SUM) / 4] = ip?.sum ?? 0
    words[(row + TEMPLATE_CHECKSUM) / 4] = transport?.at ?? 0
    words[(row + TEMPLATE_SUM) / 4] = transport?.sum ?? 0
    words[(row + TEMPLATE_IS_UDP) / 4] = transport?.isUdp === true ? 1 : 0
    counters[(row + TEMPLATE_GAP) / 8] = template.gapNs ?? 0
    at += padded(template.bytes.length)
  })
  return { templates: table, ranges: ranges.at, rangeCount: ranges.count }
}

const MOST_STEPS = 2 ** 32 - 1

/** How often a range can be stepped along before it begins anew. */
export function stepsOf({ count, step }: RoundRange): number {
  return Math.min(MOST_STEPS, Math.max(1, Math.floor(count / step)))
}

/** The ranges of rounds that the fields are of, the longest first: the others move with it. */
function rangesOf(lists: ReadonlySet<Fields>): readonly RoundRange[] {
  const ranges = new Set<RoundRange>()
  for (const fields of lists) for (const { inRound } of fields) if (inRound !== undefined) ranges.add(inRound.range)
  return [...ranges].toSorted((one, other) => stepsOf(other) - stepsOf(one))
}

function writeRanges(words: Uint32Array, reserve: Reserve, lists: ReadonlySet<Fields>) {
  const ranges = rangesOf(lists)
  const at = reserve('ranges', 'table', Math.max(1, ranges.length) * RANGE_BYTES)
  const addresses = new Map(ranges.map((range, index) => [range, at + index * RANGE_BYTES]))
  for (const [range, address] of addresses) {
    words[(address + RANGE_SHIFT) / 4] = 0
    words[(address + RANGE_STEP) / 4] = range.step
    words[(address + RANGE_DIGIT) / 4] = 0
    words[(address + RANGE_BASE) / 4] = stepsOf(range)
  }
  return { at, count: ranges.length, addressOf: (range: RoundRange) => addresses.get(range)! }
}

/** Templates that share a list of fields share what is next of it. */
function fieldWriter(
  words: Uint32Array,
  reserve: Reserve,
  lists: ReadonlySet<Fields>,
  addressOf: (range: RoundRange) => number,
) {
  let at = reserve('fields', 'table', Math.max(1, countFields(lists)) * FIELD_BYTES)
  const known = new Map<Fields, number>()
  const write = (field: TemplateField, isInIp: boolean, isInTransport: boolean) => {
    words[(at + FIELD_AT) / 4] = field.at
    words[(at + FIELD_FLAGS) / 4] =
      (field.bytes === 4 ? FIELD_IS_LONG : 0) |
      (field.inRound === undefined ? 0 : FIELD_IN_ROUND) |
      (field.isInTurn ? FIELD_IN_TURN : 0) |
      (isInIp ? FIELD_IN_IP_SUM : 0) |
      (isInTransport ? FIELD_IN_SUM : 0)
    words[(at + FIELD_FIRST) / 4] = field.first
    // 2^32 becomes 0.
    words[(at + FIELD_COUNT) / 4] = field.count
    words[(at + FIELD_NEXT) / 4] = field.inRound === undefined ? 0 : field.inRound.index % field.count
    words[(at + FIELD_RANGE) / 4] = field.inRound === undefined ? 0 : addressOf(field.inRound.range)
    at += FIELD_BYTES
  }
  return ({ fields }: Template, { isInIp, isInTransport }: CompiledTemplate): number => {
    const before = known.get(fields)
    if (before !== undefined) return before
    const first = at
    for (const field of fields) write(field, isInIp(field.at), isInTransport(field.at))
    known.set(fields, first)
    return first
  }
}
