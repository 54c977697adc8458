import { addWords, foldChecksum } from '../../src/wire/index.js'
import type { Random } from './random.js'

/** A frame of IP, damaged: bits turned, bytes of meaning set, headers put in between, cut, or longer than it says. */
export function damagedFrame(random: Random, frame: Uint8Array): Uint8Array {
  const bytes = [...frame]
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = 12 + random.below(Math.min(bytes.length - 12, 110))
    if (random.below(2) === 0) bytes[at]! ^= 1 << random.below(8)
    else bytes[at] = random.pick([0, 1, 4, 6, 17, 43, 44, 51, 58, 60, 0x45, 0x4f, 0x60, 0x7f, 0xff])
  }
  if (bytes[12] === 0x86 && random.below(2) === 0) {
    const types = Array.from({ length: 1 + random.below(12) }, () => random.pick([0, 43, 44, 60, 60, 51]))
    types.push(bytes[20]!)
    const headers = types.slice(1).flatMap((next) => [next, random.pick([0, 0, 0, 1, 255]), 1, 4, 0, 0, 0, 0])
    bytes[20] = types[0]!
    bytes.splice(54, 0, ...headers)
    const payload = bytes.length - 54
    ;[bytes[18], bytes[19]] = [payload >> 8, payload & 0xff]
  } else if (random.below(2) === 0) {
    // A right header all the same, so that what is behind it is looked at.
    ;[bytes[24], bytes[25]] = [0, 0]
    const header = Uint8Array.from(bytes.slice(14, 14 + (bytes[14]! & 15) * 4))
    const sum = foldChecksum(addWords(0, header))
    ;[bytes[24], bytes[25]] = [sum >> 8, sum & 0xff]
  }
  if (random.below(4) === 0) bytes.length = 1 + random.below(bytes.length)
  else if (random.below(6) === 0) bytes.push(...new Uint8Array(random.below(60)))
  return Uint8Array.from(bytes)
}
