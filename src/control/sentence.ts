import { CaptureError } from '../device/index.js'
import { GraphError } from '../engine/index.js'
import { FilterError, formatFilterError } from '../filter/index.js'
import { FrameError, SizeError } from '../generate/index.js'
import { KernelError } from '../kernel/index.js'
import { PolicyError, SetError } from '../policy/index.js'
import { ChangeError } from './changes.js'
import { DeviceError } from './device.js'
import { KeepError } from './keep.js'
import { LinkTypeError } from './link-type.js'
import { PolicyFileError } from './policy-file.js'
import { withRemedy } from './remedy.js'
import { AskError } from './service/ask.js'
import { ProtocolError } from './service/protocol.js'
import { TrafficError } from './traffic-error.js'

/** Everything a person needs of an error, without its stack. */
export function sentenceOf(error: unknown): string {
  if (error instanceof FilterError) return formatFilterError(error)
  if (error instanceof KernelError) return withRemedy(error)
  return error instanceof Error ? error.message : String(error)
}

const WRONG_INPUTS = [
  FilterError,
  FrameError,
  GraphError,
  CaptureError,
  ChangeError,
  DeviceError,
  KeepError,
  LinkTypeError,
  PolicyFileError,
  PolicyError,
  ProtocolError,
  SetError,
  SizeError,
  TrafficError,
]

/** Whether what was asked for cannot be done by anybody; otherwise it failed here and now. */
export function isWrongInput(error: unknown): boolean {
  if (error instanceof AskError) return error.isInput
  return WRONG_INPUTS.some((kind) => error instanceof kind)
}
