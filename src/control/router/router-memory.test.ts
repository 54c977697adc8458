import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBench } from '../../../test/support/engine.js'
import { createLink } from '../../device/index.js'
import { type Device, startEngine } from '../../engine/index.js'
import { type NatRule, openFlows } from '../../flow/index.js'
import { openRoutes } from '../../route/index.js'
import { drawRouter } from './draw.js'
import type { PortSockets } from './port.js'
import { partBytes } from './router-memory.js'

const SIZES = { rootBits: 8, nodes: 4, routes: 4 } as const
const FLOWS = 64
const NAT: readonly NatRule[] = [{ kind: 'masquerade', outPort: 0 }]

/** Bytes of the stages of a router of so many ports. */
function stageBytes(count: number, nat: readonly NatRule[] | null): number {
  const { space, code, worker } = openBench({ 2048: 256 }, false, 128 << 20)
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: count })
  const ports = Array.from({ length: count }, (_, port) => {
    const [device] = createLink(space, code, worker, `link ${port}`, { slots: 16 })
    return { name: `port ${port}`, from: [device as Device], to: device as Device }
  })
  const used = () => space.layout().regions.reduce((sum, { bytes }) => sum + bytes, 0)
  const before = used()
  const flows = nat === null ? null : openFlows(space, code, 'test', { flows: FLOWS, nat })
  startEngine(space, code, worker, drawRouter({ ports, tables, ask() {}, ...(flows && { flows }) }))
  return used() - before
}

test('a worker has memory for the stages of few ports and of many', () => {
  for (const count of [2, 8, 16]) {
    const ports = Array.from({ length: count }, () => ({ queues: [], entries: 0 }) as unknown as PortSockets)
    for (const nat of [null, [], NAT]) {
      const [needs, has] = [stageBytes(count, nat), partBytes({ ports, track: nat === null ? 0 : FLOWS }, 1, 0)]
      assert.ok(needs + (1 << 20) < has, `${count} ports need ${needs} bytes of ${has}`)
    }
  }
})
