import { LoadError } from '../control/index.js'
import { isWrongInput, sentenceOf } from '../control/sentence.js'
import { FAILED, InputError, note, WRONG_INPUT } from './output.js'

/** Says what went wrong, in one sentence or with a caret, and returns the exit status that fits. */
export function reportError(error: unknown): number {
  if (process.env['SLUICE_DEBUG'] === '1') {
    note(error instanceof Error ? String(error.stack) : String(error))
    if (error instanceof LoadError && error.log !== '') note(error.log)
  } else {
    note(`sluice: ${sentenceOf(error)}`)
  }
  return error instanceof InputError || isWrongInput(error) ? WRONG_INPUT : FAILED
}
