import type { Direction, Span } from '../filter/index.js'
import { all, any, type Condition } from './condition.js'
import { UnsupportedError } from './errors.js'

/**
 * Applies the qualifier `src`, `dst`, `src or dst` or `src and dst` to a field
 * that stands at two offsets. Throws UnsupportedError for the directions that
 * only IEEE 802.11 has.
 */
export function eitherSide(
  direction: Direction,
  span: Span,
  source: number,
  destination: number,
  matches: (offset: number) => Condition,
): Condition {
  switch (direction) {
    case 'src':
      return matches(source)
    case 'dst':
      return matches(destination)
    case 'src-and-dst':
      return all(matches(source), matches(destination))
    case 'src-or-dst':
      return any(matches(source), matches(destination))
    default:
      throw new UnsupportedError(`only IEEE 802.11 frames have an address '${direction}'; use src or dst`, span)
  }
}
