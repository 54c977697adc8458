import { alu64, type Item, type MapSpec, type Register } from '../../ebpf/index.js'
import type { Membership } from '../../ir/index.js'
import { type Expression, expressionOf } from '../expression.js'
import type { Evaluator } from './evaluate.js'
import { type LookupExits, lookupV4 } from './lookup-v4.js'
import { lookupV6 } from './lookup-v6.js'
import type { RegisterFile } from './registers.js'
import { setMapName } from './set-maps.js'

/** What emitting a look-up needs of the program around it. */
interface Surroundings {
  readonly evaluator: Evaluator
  readonly file: RegisterFile
  emit(item: Item): void
  /** Asked once, when the registers hold what they will hold behind the look-up. */
  exits(): LookupExits
}

/** Looks the address up: falls through or jumps to `yes` where it is in the set, otherwise jumps to `no`. */
export function emitMembership(test: Membership, maps: ReadonlyMap<string, MapSpec>, around: Surroundings): void {
  const map = maps.get(setMapName(test.set, test.family))!
  const words = test.words.map(expressionOf)
  if (test.family === 4) emitV4(map, words[0]!, around)
  else emitV6(map, words, around)
}

function emitV4(map: MapSpec, word: Expression, { evaluator, file, emit, exits }: Surroundings): void {
  const address = evaluator.toFresh(word)
  const scratch = [file.take(), file.take(), file.take(), file.take(), file.take()] as const
  for (const item of lookupV4(map, address, scratch, exits())) emit(item)
  for (const register of [address, ...scratch]) file.release(register)
}

function emitV6(map: MapSpec, words: readonly Expression[], { evaluator, file, emit, exits }: Surroundings): void {
  const pair = (high: Expression, low: Expression): Register => {
    const register = evaluator.toFresh(high)
    emit(alu64('lsh', register, 32))
    const lower = evaluator.toRegister(low)
    emit(alu64('or', register, lower))
    file.release(lower)
    return register
  }
  const high = pair(words[0]!, words[1]!)
  const low = pair(words[2]!, words[3]!)
  file.release(high)
  file.release(low)
  const scratch = [file.take(), file.take(), file.take(), file.take(), file.take(), file.take()] as const
  for (const item of lookupV6(map, high, low, scratch, exits())) emit(item)
  for (const register of scratch) file.release(register)
}
