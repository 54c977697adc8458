/** A frame size and how often it comes, beside the others. Bytes of a whole Ethernet frame without FCS. */
export interface WeightedSize {
  readonly bytes: number
  readonly weight: number
}

/** Sizes that nobody can be given: one sentence with what was read and what can be written. */
export class SizeError extends Error {
  override name = 'SizeError'
}

/** The smallest Ethernet frame without FCS, and what is taken for the largest. */
export const LEAST_FRAME_BYTES = 60
const MOST_FRAME_BYTES = 65_000
const MOST_WEIGHT = 10_000

/**
 * Mixes by name. Published sizes count the FCS (4 bytes), which no device hands
 * over; these do not. `imix`: the simple Internet mix, 7:4:1; `csit`: that of
 * FD.io CSIT, 28:16:4; `trex`: that of TRex's stateless profile; `rfc2544`: the
 * sizes of RFC 2544, section 9.1, as often each.
 */
export const MIXES: Readonly<Record<string, readonly WeightedSize[]>> = {
  imix: weighted([60, 7], [590, 4], [1514, 1]),
  csit: weighted([60, 28], [566, 16], [1514, 4]),
  trex: weighted([60, 28], [590, 16], [1514, 4]),
  rfc2544: weighted([60, 1], [124, 1], [252, 1], [508, 1], [1020, 1], [1276, 1], [1514, 1]),
}

function weighted(...sizes: readonly (readonly [number, number])[]): WeightedSize[] {
  return sizes.map(([bytes, weight]) => ({ bytes, weight }))
}

/** `60`, `60-1514` (each as often), `60:7,590:4,1514:1`, or the name of a mix. Throws SizeError. */
export function parseSizes(text: string): readonly WeightedSize[] {
  if (Object.hasOwn(MIXES, text)) return MIXES[text]!
  const range = /^(\d+)-(\d+)$/.exec(text)
  if (range !== null) {
    const [least, most] = [checkSize(range[1]!), checkSize(range[2]!)]
    if (least > most) throw new SizeError(`sizes from ${least} to ${most} are none; write the smaller first`)
    return Array.from({ length: most - least + 1 }, (_, index) => ({ bytes: least + index, weight: 1 }))
  }
  return text.split(',').map((part) => {
    const match = /^(\d+)(?::(\d+))?$/.exec(part.trim())
    const weight = Number(match?.[2] ?? 1)
    if (match === null || weight < 1 || weight > MOST_WEIGHT) {
      const names = Object.keys(MIXES).join(', ')
      throw new SizeError(`"${part}" is no size; write 60, 60-1514, 60:7,590:4,1514:1 or one of ${names}`)
    }
    return { bytes: checkSize(match[1]!), weight }
  })
}

function checkSize(text: string): number {
  const bytes = Number(text)
  if (bytes >= LEAST_FRAME_BYTES && bytes <= MOST_FRAME_BYTES) return bytes
  throw new SizeError(
    `a frame of ${text} bytes cannot be sent; give ${LEAST_FRAME_BYTES} to ${MOST_FRAME_BYTES}, without the FCS`,
  )
}
