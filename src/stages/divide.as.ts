import { divideBundle } from './verdicts.inline.as'

/** Appends the packets whose verdict is chosen to `other`; the others stay. */
export function divide(bundle: u32, verdicts: u32, chosen: u32, other: u32): void {
  divideBundle(bundle, verdicts, chosen, other)
}
