import { exit, mov32, type Program, R0, XDP } from '../ebpf/index.js'
import {
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  ERRNO,
  errnoName,
  findLink,
  KernelError,
  openRoute,
  setLink,
  TEST_XDP_LIVE_FRAMES,
  tryTestRun,
  withNamespace,
} from '../kernel/index.js'
import { attachXdp, LoadError, type LoadedProgram, loadProgram } from '../loader/index.js'
import { type Check, missing, ok } from './check.js'
import { remedyFor } from './remedy.js'

const FRAME_BYTES = 64

/** The smallest program that can be tried: it drops everything. */
const TRIAL: Program = {
  name: 'trial',
  type: 'xdp',
  license: 'Dual BSD/GPL',
  instructions: [mov32(R0, XDP.drop), exit()],
  relocations: [],
  maps: [],
  multiBuffer: true,
}

/** Loads a program, attaches it in the driver of a veth pair made for it, and sends frames with it. */
export function examineKernel(): Check[] {
  const loading = 'loading programs (bpf)'
  let program: LoadedProgram
  try {
    program = loadProgram(TRIAL)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return [
      missing(loading, error.code, error.message),
      ...untried(`not tried: ${error.code} above`, `see "${loading}"`),
    ]
  }
  try {
    return [ok(loading, 'the verifier took one'), ...tryOnDevice(program)]
  } finally {
    program.close()
  }
}

const DRIVER_HOOK = 'rules in the driver (native XDP)'
const LIVE_FRAMES = 'sending floods (live frames)'

function untried(why: string, remedy: string): Check[] {
  return [missing(DRIVER_HOOK, why, remedy), missing(LIVE_FRAMES, why, remedy)]
}

function tryOnDevice(program: LoadedProgram): Check[] {
  let namespace: ReturnType<typeof createNamespace>
  try {
    namespace = createNamespace()
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return untried(`not tried: no namespace could be made (${error.code})`, remedyFor(error.code))
  }
  try {
    const route = openRoute(namespace)
    try {
      createVeth(route, { name: 'trial' }, { name: 'peer' }, namespace)
      const device = findLink(route, 'trial')
      setLink(route, device.index, { up: true })
      return withNamespace(namespace, () => [tryDriverHook(program, device), tryLiveFrames(program, device.index)])
    } finally {
      closeNetlink(route)
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return untried(`not tried: ${error.message}`, remedyFor(error.code))
  } finally {
    closeNamespace(namespace)
  }
}

function tryDriverHook(program: LoadedProgram, device: { name: string; index: number }): Check {
  try {
    attachXdp(program, device, 'native').close()
    return ok(DRIVER_HOOK, 'works on a veth pair')
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return missing(DRIVER_HOOK, error.code, error.message)
  }
}

function tryLiveFrames(program: LoadedProgram, index: number): Check {
  const data = new Uint8Array(FRAME_BYTES)
  const context = new Uint8Array(24)
  const view = new DataView(context.buffer)
  view.setUint32(4, FRAME_BYTES, true)
  view.setUint32(12, index, true)
  const errno = tryTestRun({ fd: program.fd, data, context, repeat: 1, flags: TEST_XDP_LIVE_FRAMES })
  if (errno === 0) return ok(LIVE_FRAMES, 'works')
  const code = errnoName(errno)
  const remedy = errno === ERRNO.EINVAL ? 'use Linux 5.18 or newer' : remedyFor(code)
  return missing(LIVE_FRAMES, code, `the demo and the lab need it: ${remedy}`)
}
