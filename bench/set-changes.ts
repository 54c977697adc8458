import { policySource } from '../src/control/policy-source.js'
import { loadPolicy } from '../src/loader/index.js'
import { drop, type PrefixList, policy, type SetContents } from '../src/policy/index.js'
import { printReport } from './report.js'
import { scatteredWord } from './source-flood.js'
import { spreadOf } from './statistics.js'

/**
 * What it takes to change a set of a million addresses of a policy in force:
 * from the call to the moment from which every packet meets the new ones.
 * `replace` hands over a whole new list, `change` a hundred that come and a
 * hundred that go.
 */

const ADDRESSES = 1_000_000
const CHANGED = 100
const ROUNDS = 7
const SET = 'blocked'
const EMPTY: PrefixList = { words: new Uint32Array(0), lengths: new Uint8Array(0) }

if (process.getuid?.() !== 0) console.error('skipped: sets are in the kernel, which needs root')
else report()

type Loaded = ReturnType<typeof loadPolicy>

function report(): void {
  const rows = ([4, 6] as const).flatMap((family) => [
    timeChanges(family, 'replace', () => {
      const contents = contentsOf(family, 0, ADDRESSES)
      return (loaded) => loaded.replaceSet(SET, contents)
    }),
    timeChanges(family, 'change', (round) => {
      const add = contentsOf(family, ADDRESSES + round * CHANGED, CHANGED)
      const remove = contentsOf(family, round * CHANGED, CHANGED)
      return (loaded) => loaded.changeSet(SET, { add, remove })
    }),
  ])
  const [replaceV4, changeV4, replaceV6, changeV6] = rows.map(({ median }) => median)
  printReport({
    name: 'set-changes',
    rows,
    ratios: { replaceVsChangeV4: replaceV4! / changeV4!, replaceVsChangeV6: replaceV6! / changeV6! },
  })
}

/** Milliseconds of several changes; what a change hands over is made beforehand. */
function timeChanges(family: 4 | 6, way: string, prepare: (round: number) => (loaded: Loaded) => void) {
  const value = policy({ sets: { [SET]: [] } }, drop(`src net @${SET}`))
  const first = contentsOf(family, 0, ADDRESSES)
  const loaded = loadPolicy(policySource(value, { sets: new Map([[SET, first]]), interfaceIndex: () => 1 }))
  const samples = Array.from({ length: ROUNDS }, (_, round) => {
    const change = prepare(round)
    const start = performance.now()
    change(loaded)
    return performance.now() - start
  })
  loaded.close()
  return { family: `IPv${family}`, way, ...spreadOf(samples) }
}

/** Scattered addresses in order, as `readSet` gives them. */
function contentsOf(family: 4 | 6, first: number, count: number): SetContents {
  const lengths = new Uint8Array(count).fill(family === 4 ? 32 : 128)
  const heads = Uint32Array.from({ length: count }, (_, index) => scatteredWord(first + index)).sort()
  if (family === 4) return { v4: { words: heads, lengths }, v6: EMPTY }
  const words = Uint32Array.from({ length: count * 4 }, (_, at) => {
    const head = heads[at >> 2]!
    return (at & 3) === 0 ? head : scatteredWord(head + (at & 3))
  })
  return { v4: EMPTY, v6: { words, lengths } }
}
