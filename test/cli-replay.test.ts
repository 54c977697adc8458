import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createCapture } from '../src/device/index.js'
import { runCli } from './support/cli.js'

/** An Ethernet frame with IPv4 and UDP. */
function frame(source: readonly number[], port: number): Uint8Array {
  const bytes = new Uint8Array(60)
  bytes.set([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, ...source, 10, 0, 0, 1], 12)
  bytes.set([port >> 8, port & 255, 0, 53], 34)
  return bytes
}

const POLICY = `
sets:
  blocked: { file: blocked.txt }
rules:
  - { name: seen, action: count, match: udp }
  - { name: tried, action: drop, match: udp src port 123, mode: shadow }
  - { name: blocked, action: drop, match: src net @blocked, for: 10m }
  - { name: ntp, action: drop, match: udp src port 123 }
  - { name: lost, action: pass, match: udp src port 123 and ip }
`

describe('sluice replay', () => {
  let folder = ''
  const at = (name: string) => join(folder, name)
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-replay-'))
    const writer = createCapture(at('some.pcap'), { linkTypeNumber: 1, snapLength: 65535, resolution: 'microseconds' })
    for (const data of [
      frame([192, 0, 2, 1], 123),
      frame([192, 0, 2, 2], 9),
      frame([198, 51, 100, 1], 123),
      frame([198, 51, 100, 2], 9),
      new Uint8Array(60),
    ])
      writer.write({ data, wireLength: data.length, seconds: 0, nanoseconds: 0 })
    writer.finish()
    writeFileSync(at('policy.yaml'), POLICY)
    writeFileSync(at('blocked.txt'), '192.0.2.0/24\n')
  })
  after(() => rmSync(folder, { recursive: true }))

  it('counts what each rule met, and what none took', () => {
    const { status, stdout, stderr } = runCli(['replay', at('some.pcap'), '--policy', at('policy.yaml'), '--json'])
    assert.equal(status, 0, stderr)
    const report = JSON.parse(stdout)
    assert.deepEqual(
      report.rules.map(({ name, packets, bytes }: Record<string, unknown>) => [name, packets, bytes]),
      [
        ['seen', 4, 240],
        ['tried', 2, 120],
        ['blocked', 2, 120],
        ['ntp', 1, 60],
        ['lost', 0, 0],
      ],
    )
    assert.deepEqual([report.packets, report.undecided, report.linkType], [5, 2, 'EN10MB'])
    assert.match(stderr, /warning: rule 5 "lost" is never reached, because rule 4 "ntp" takes all of its packets/)
  })

  it('prints a table', () => {
    const { stdout } = runCli(['replay', at('some.pcap'), '--policy', at('policy.yaml')])
    assert.match(stdout, /tried +│ drop \(shadow\) +│ +2 │ +120/)
    assert.match(stdout, /^2 of 5 packets pass because no final rule takes them$/m)
  })

  it('refuses a broken policy or list with status 2, and says where', () => {
    writeFileSync(at('broken.yaml'), POLICY.replace('udp src port 123', 'udp src prt 123'))
    const broken = runCli(['replay', at('some.pcap'), '--policy', at('broken.yaml')])
    assert.equal(broken.status, 2)
    assert.match(broken.stderr, /broken\.yaml:6:\d+: .*\n {2}udp src prt 123\n +\^/)
    writeFileSync(at('blocked.txt'), '192.0.2.0/24\n192.0.2.0/33\n')
    const list = runCli(['replay', at('some.pcap'), '--policy', at('policy.yaml')])
    assert.equal(list.status, 2)
    assert.match(list.stderr, /^sluice: blocked\.txt:2: "192\.0\.2\.0\/33" is no address or prefix/)
    const missing = runCli(['replay', at('some.pcap'), '--policy', at('none.yaml')])
    assert.equal(missing.status, 2)
    assert.match(missing.stderr, /cannot read the policy .*none\.yaml: no such file; check the path\n$/)
  })
})
