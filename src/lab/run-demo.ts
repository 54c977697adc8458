import { KernelError } from '../kernel/index.js'
import { LoadError } from '../loader/index.js'
import { runDemo } from './demo.js'
import { runDemoInMemory } from './demo-in-memory.js'
import type { DemoOptions, DemoResult } from './demo-phase.js'
import { type DemoRig, openDemoRig } from './demo-rig.js'

/** Errnos that say "not you" or "not here", as against a fault. */
const REFUSALS = new Set(['EPERM', 'EACCES', 'ENOSYS'])

/** The demonstration on real devices where this process may make them, and otherwise in memory. */
export async function runDemoAnywhere(options: DemoOptions): Promise<DemoResult> {
  const rig = await openRigIfAllowed()
  return rig === null ? runDemoInMemory(options) : runDemo(rig, options)
}

async function openRigIfAllowed(): Promise<DemoRig | null> {
  try {
    return await openDemoRig()
  } catch (error) {
    const isRefused = (error instanceof KernelError || error instanceof LoadError) && REFUSALS.has(error.code)
    if (!isRefused) throw error
    return null
  }
}
