import { z } from 'zod'
import { DEVICE_NAME, RANGES, type Range, RULE_NAME, rangeHint, SET_NAME } from './ranges.js'
import { AMOUNT_PATTERN, DURATION_PATTERN, MOMENT_PATTERN, RATE_PATTERN } from './units.js'
import type { WrittenPolicy } from './written.js'

/** What is written wrong is said by `hint`, whatever it is that is wrong. */
const whole = ({ min, max }: Range) => {
  const error = rangeHint({ min, max })
  return z.int({ error }).min(min, { error }).max(max, { error })
}
const text = (pattern: RegExp, error: string) => z.string({ error }).regex(pattern, { error })
const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) => z.enum(words)

const rate = () => text(RATE_PATTERN, 'write a rate such as 1000 pps, 10 Mbit/s or 5 MB/s')
const burstError = 'write a number in the unit of the rate, or an amount such as 2000 packets or 64 kB'

/** What every rule has. */
const common = () => ({
  name: text(RULE_NAME, 'write 1 to 200 printable characters, in quotes where they are a number')
    .optional()
    .describe('Unique in the policy; counters belong to it. Without it: the action and the match.'),
  match: z
    .string({ error: 'write an expression, in quotes where YAML needs them; "" is every packet' })
    .describe('Which packets: an expression in the language of tcpdump, with sets as in src net @name.'),
  mode: oneOf(['enforce', 'shadow']).optional().describe('shadow: only counts what it would have done.'),
  for: text(DURATION_PATTERN, 'write a time such as 30s, 10m, 1h or 2d')
    .optional()
    .describe('How long the rule is in force from when it is loaded.'),
  until: text(MOMENT_PATTERN, 'write a moment with its zone, as 2026-12-01T08:00:00Z')
    .optional()
    .describe('When the rule ends.'),
})

const plain = (action: 'pass' | 'drop' | 'count' | 'divert', about: string) =>
  z.strictObject({ ...common(), action: z.literal(action) }).describe(about)

const rule = () =>
  z.discriminatedUnion('action', [
    plain('pass', 'Packets go to the kernel, and no later rule sees them. Final.'),
    plain('drop', 'Packets are dropped in the driver. Final.'),
    plain('count', 'Packets are counted, and the next rule sees them.'),
    plain('divert', 'Packets go to user space through an AF_XDP socket. Final.'),
    z
      .strictObject({
        ...common(),
        action: z.literal('limit'),
        per: oneOf(['rule', 'source', 'source-prefix', 'destination', 'flow']).describe(
          'What has a bucket of its own.',
        ),
        prefix: z
          .strictObject({ v4: whole(RANGES.v4), v6: whole(RANGES.v6) })
          .optional()
          .describe('With per: source-prefix, the lengths.'),
        rate: rate().describe('1000 pps, 10 Mbit/s, 5 MB/s.'),
        burst: z
          .union([whole(RANGES.burst), text(AMOUNT_PATTERN, burstError)], {
            error: burstError,
          })
          .optional()
          .describe('How much at once. Without it: what the rate allows in one second.'),
      })
      .describe('Packets pass up to a rate, those beyond it are dropped. Final.'),
    z
      .strictObject({
        ...common(),
        action: z.literal('sample'),
        oneIn: whole(RANGES.oneIn).describe('One packet in so many.'),
        bytes: whole(RANGES.bytes).optional().describe('How much of the packet; 128 without it.'),
      })
      .describe('The first bytes of some packets go to a ring buffer; the next rule sees all of them.'),
    z
      .strictObject({ ...common(), action: z.literal('steer'), cpu: whole(RANGES.cpu) })
      .describe('The kernel handles the packets on this CPU. Final.'),
    z
      .strictObject({
        ...common(),
        action: z.literal('forward'),
        device: text(DEVICE_NAME, 'write the name of a network device, such as eth1'),
      })
      .describe('Packets leave through this device. Final.'),
    z
      .strictObject({ ...common(), action: z.literal('mark'), value: whole(RANGES.value) })
      .describe('Packets carry this number from here on, and the next rule sees them.'),
  ])

const entry = () => z.string({ error: 'write an address or prefix, in quotes where YAML takes it for a number' })
const set = () =>
  z
    .union([z.array(entry()), z.strictObject({ file: z.string({ error: 'write the path of a list' }).min(1) })], {
      error: 'write a list of addresses and prefixes, or file: PATH',
    })
    .describe('Addresses and prefixes, IPv4 and IPv6, or a file with one a line.')

const makePolicySchema = () =>
  z
    .strictObject({
      rules: z
        .array(rule(), { error: 'write a list of rules' })
        .describe('In order; the first final rule that matches decides.'),
      sets: z
        .record(z.string().regex(SET_NAME), set(), { error: 'write the sets by name' })
        .optional()
        .describe('Named lists of addresses and prefixes.'),
      tables: z
        .strictObject({
          limits: z
            .strictObject({
              entries: whole(RANGES.entries).optional().describe('Buckets of all limit rules together.'),
              whenFull: oneOf(['share', 'drop', 'replace'])
                .optional()
                .describe('What newcomers meet when all buckets are taken.'),
            })
            .optional(),
          samples: z
            .strictObject({
              bytes: whole(RANGES.bufferBytes).optional().describe('Size of the ring buffer, a power of two.'),
            })
            .optional(),
        })
        .optional()
        .describe('What the policy may keep in kernel memory.'),
    })
    .describe('A policy of Sluice: rules, sets of addresses and sizes of tables.') satisfies z.ZodType<WrittenPolicy>

let made: ReturnType<typeof makePolicySchema> | undefined

/** A policy as YAML or JSON says it; made when one is first read, because zod takes 20 ms to load. */
export function policySchema(): ReturnType<typeof makePolicySchema> {
  made ??= makePolicySchema()
  return made
}

/** The schema as a JSON Schema (draft 2020-12), for editors and other programs. */
export function policyJsonSchema(): object {
  return { ...z.toJSONSchema(policySchema(), { io: 'input' }), title: 'Sluice policy' }
}
