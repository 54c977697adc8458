import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { frameSpec, ipv6Ranges } from '../../test/support/traffic.js'
import { type FrameSpec, frameTemplates } from '../generate/index.js'
import { TrafficError } from './traffic-error.js'
import { checkDestinations, type Reach } from './traffic-guard.js'
import { parseEndpoints } from './traffic-range.js'

/** What is said of frames to `to`, or null where they may be sent. */
function refusal(to: string, reach: Reach, confirmed: readonly string[] = [], change: Partial<FrameSpec> = {}) {
  const destinations = parseEndpoints(to).addresses
  const sources = destinations.first.length === 16 ? ipv6Ranges().sources : frameSpec().sources
  const templates = frameTemplates(frameSpec({ sources, destinations, ...change }))
  return refusalOf(
    templates.map(({ bytes, fields }) => ({ bytes, fields })),
    reach,
    confirmed,
  )
}

function refusalOf(
  templates: readonly Pick<ReturnType<typeof frameTemplates>[number], 'bytes' | 'fields'>[],
  reach: Reach,
  confirmed: readonly string[],
): string | null {
  const whole = templates.map((template) => ({ ...template, stampAt: null, weight: 1 }))
  try {
    checkDestinations(whole, { reach, device: 'eth0' }, confirmed, (index) => `packet ${index + 1}`)
    return null
  } catch (error) {
    assert.ok(error instanceof TrafficError)
    assert.match(error.message, /^[^.]+(\.[^ ]+[^.]*)*$/, 'one sentence')
    return error.message
  }
}

describe('whom traffic may be sent to', () => {
  it('inside: everybody', () => {
    for (const to of ['192.0.2.1', '0.0.0.0/0', '2001:db8::1']) assert.equal(refusal(to, 'inside'), null)
  })

  it('outside: only exact addresses that are confirmed', () => {
    assert.match(
      refusal('192.0.2.1', 'outside')!,
      /^packet 1 goes to 192\.0\.2\.1, and from eth0 it may leave this machine; add --confirm 192\.0\.2\.1 if/,
    )
    assert.equal(refusal('192.0.2.1', 'outside', ['192.0.2.1']), null)
    assert.match(refusal('192.0.2.1', 'outside', ['192.0.2.2'])!, /goes to 192\.0\.2\.1/)
    assert.match(refusal('192.0.2.1', 'outside', ['192.0.2.0/24'])!, /"192\.0\.2\.0\/24" cannot be confirmed/)
    assert.match(refusal('127.0.0.1', 'outside')!, /goes to 127\.0\.0\.1/)
    assert.equal(refusal('2001:db8::1', 'outside', ['2001:DB8:0::1']), null)
  })

  it('of a range each address has to be confirmed', () => {
    assert.equal(refusal('192.0.2.0/31', 'outside', ['192.0.2.0', '192.0.2.1']), null)
    assert.match(refusal('192.0.2.0/31', 'outside', ['192.0.2.0'])!, /goes to 192\.0\.2\.1,/)
    assert.match(refusal('192.0.2.0/30', 'outside', ['192.0.2.0', '192.0.2.1', '192.0.2.3'])!, /goes to 192\.0\.2\.2,/)
    assert.match(refusal('0.0.0.0/0', 'outside', ['0.0.0.0'])!, /goes to 0\.0\.0\.1,/)
  })

  it('loopback: loopback addresses, and what is confirmed', () => {
    for (const to of ['127.0.0.1', '127.0.0.0/8', '127.255.255.255', '::1'])
      assert.equal(refusal(to, 'loopback'), null, to)
    assert.match(refusal('126.255.255.255-127.0.0.1', 'loopback')!, /goes to 126\.255\.255\.255,/)
    assert.match(refusal('127.255.255.255-128.0.0.0', 'loopback')!, /goes to 128\.0\.0\.0,/)
    assert.match(refusal('::2', 'loopback')!, /goes to ::2,/)
    assert.match(refusal('192.0.2.1', 'loopback')!, /goes to 192\.0\.2\.1,/)
    assert.equal(refusal('192.0.2.1', 'loopback', ['192.0.2.1']), null)
  })

  it('every kind, and fragments, are looked at', () => {
    for (const kind of ['syn', 'fragments', 'dns'] as const)
      assert.match(refusal('192.0.2.1', 'outside', [], { kind })!, /goes to 192\.0\.2\.1/)
  })

  it('every packet of a capture, behind VLAN tags; what is no IP goes nowhere outside', () => {
    const [plain] = frameTemplates(frameSpec())
    const tagged = Uint8Array.from([...plain!.bytes.slice(0, 12), 0x81, 0, 0, 5, ...plain!.bytes.slice(12)])
    const other = Uint8Array.from(tagged)
    other[37] = 77
    const packets = [plain!.bytes, tagged, other].map((bytes) => ({ bytes, fields: [] }))
    assert.match(refusalOf(packets, 'outside', ['192.0.2.2'])!, /^packet 3 goes to 192\.0\.2\.77/)
    assert.equal(refusalOf(packets, 'outside', ['192.0.2.2', '192.0.2.77']), null)
    const arp = Uint8Array.from({ length: 60 }, (_, index) => (index === 12 ? 8 : index === 13 ? 6 : 255))
    for (const bytes of [arp, plain!.bytes.slice(0, 30), new Uint8Array(3)])
      assert.match(refusalOf([{ bytes, fields: [] }], 'outside', ['192.0.2.2'])!, /^packet 1 has no IP destination/)
    assert.equal(refusalOf([{ bytes: arp, fields: [] }], 'inside', []), null)
  })
})
