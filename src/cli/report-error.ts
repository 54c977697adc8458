import {
  CaptureError,
  DeviceError,
  FilterError,
  formatFilterError,
  KernelError,
  LinkTypeError,
  LoadError,
  withRemedy,
} from '../control/index.js'
import { KeepError } from '../control/keep.js'
import { PolicyFileError } from '../control/policy-file.js'
import { PolicyError, SetError } from '../policy/index.js'
import { FAILED, InputError, note, WRONG_INPUT } from './output.js'

/** Says what went wrong, in one sentence or with a caret, and returns the exit status that fits. */
export function reportError(error: unknown): number {
  if (process.env['SLUICE_DEBUG'] === '1') {
    note(error instanceof Error ? String(error.stack) : String(error))
    if (error instanceof LoadError && error.log !== '') note(error.log)
  } else {
    note(`sluice: ${sentenceOf(error)}`)
  }
  return isWrongInput(error) ? WRONG_INPUT : FAILED
}

/** Everything a person needs of an error, without its stack. */
export function sentenceOf(error: unknown): string {
  if (error instanceof FilterError) return formatFilterError(error)
  if (error instanceof KernelError) return withRemedy(error)
  return error instanceof Error ? error.message : String(error)
}

const WRONG_INPUTS = [
  InputError,
  FilterError,
  CaptureError,
  DeviceError,
  KeepError,
  LinkTypeError,
  PolicyFileError,
  PolicyError,
  SetError,
]

function isWrongInput(error: unknown): boolean {
  return WRONG_INPUTS.some((kind) => error instanceof kind)
}
