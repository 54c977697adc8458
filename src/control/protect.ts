import { GENERIC_WARNING, type XdpMode } from '../loader/index.js'
import { downNotes, findDevice } from './device.js'
import { openPolicy, type PolicyInForce, type PolicyRequest } from './opened-policy.js'
import { withoutReader } from './policy-version.js'

/** A policy at one device. */
export interface ProtectRequest extends PolicyRequest {
  readonly device: string
  /** Null: native where the driver can, otherwise generic. */
  readonly mode: XdpMode | null
}

/** A policy at work; it ends with `close` or with this process. */
export interface RunningPolicy extends PolicyInForce {
  readonly mode: XdpMode
  /** False once the device has gone, or somebody else has detached the policy. */
  isAttached(): boolean
  close(): void
}

/**
 * Loads a policy and attaches it; what is kept passes before its first rule.
 * Throws PolicyFileError, PolicyError, SetError, KeepError, DeviceError or
 * LoadError, and leaves nothing behind then.
 */
export function startProtect(request: ProtectRequest): RunningPolicy {
  const device = findDevice(request.device)
  const opened = openPolicy(request, { judge: withoutReader })
  try {
    const { mode, isAttached } = opened.attach(device, request.mode ?? undefined)
    const generic = mode === 'generic' ? [`${device.name} ${GENERIC_WARNING}`] : []
    return { ...opened, notices: [...downNotes(device), ...generic, ...opened.notices], mode, isAttached }
  } catch (error) {
    opened.close()
    throw error
  }
}
