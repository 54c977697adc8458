import { block, end, type Instruction } from '../../wasm/index.js'

/** Code with a name that earlier pieces branch to, by their positions in the order of the code. */
export interface Piece {
  readonly label: string
  readonly code: readonly Instruction[]
  /** Positions of the pieces that branch here; falling through is no branch. */
  readonly branchedFrom: readonly number[]
}

/**
 * Pieces one behind the other, with blocks around them so that each branch goes
 * forward to the end of a block, which is where its target begins:
 *
 *     block $b  block $a  …br $b…  end  a's code  end  b's code
 *
 * A block opens as late as it can: at the first branch to its target, or where
 * a block opens that would otherwise reach across it.
 */
export function nestBlocks(pieces: readonly Piece[]): Instruction[] {
  const opensAt: number[][] = pieces.map(() => [])
  /** Outermost blocks so far, as `[start, target]`; none reaches across another. */
  const outermost: [number, number][] = []
  pieces.forEach(({ branchedFrom }, target) => {
    if (branchedFrom.length === 0) return
    let start = branchedFrom.reduce((least, from) => Math.min(least, from))
    while (outermost.length > 0) {
      const [before, until] = outermost.at(-1)!
      if (until <= start) break
      start = Math.min(start, before)
      outermost.pop()
    }
    outermost.push([start, target])
    opensAt[start]!.push(target)
  })
  return pieces.flatMap(({ code, branchedFrom }, position) => [
    ...(branchedFrom.length > 0 ? [end] : []),
    // What ends last opens first.
    ...opensAt[position]!.toReversed().map((target) => block(pieces[target]!.label)),
    ...code,
  ])
}
