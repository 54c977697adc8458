import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { seededRandom } from '../../test/support/random.js'
import { emptyLayout, FIRST_OFFSET, type Layout, LayoutError, place, printLayout, remove } from './layout.js'

describe('a layout', () => {
  it('has no region on another, each aligned and inside the memory, whatever comes and goes', (context) => {
    const random = seededRandom(context, 'layout')
    let layout = emptyLayout(1 << 20)
    let refused = 0
    for (let turn = 0; turn < 3000; turn++) {
      const { regions } = layout
      if (regions.length > 0 && random.below(5) < 2) {
        layout = remove(layout, random.pick(regions).name)
        continue
      }
      try {
        const alignment = 1 << random.below(13)
        const from = random.below(2) === 0 ? 0 : random.below(1 << 19)
        const bytes = random.below(30_000)
        const placed = place(layout, { name: `r${turn}`, kind: 'state', bytes, alignment, from })
        assert.ok(placed.region.offset >= from)
        layout = placed.layout
      } catch (error) {
        assert.ok(error instanceof LayoutError)
        refused++
      }
      assertSound(layout)
    }
    assert.ok(refused > 0, 'the memory was full at times')
  })

  it('takes the first gap that is large enough', () => {
    let layout = emptyLayout(1 << 16)
    for (const name of ['a', 'b', 'c']) layout = place(layout, { name, kind: 'ring', bytes: 256 }).layout
    const { region } = place(remove(layout, 'b'), { name: 'd', kind: 'ring', bytes: 200 })
    assert.equal(region.offset, FIRST_OFFSET + 256)
    assert.equal(place(remove(layout, 'b'), { name: 'd', kind: 'ring', bytes: 300 }).region.offset, FIRST_OFFSET + 768)
  })

  it('refuses a name that is taken, and what has no room', () => {
    const { layout } = place(emptyLayout(1 << 16), { name: 'a', kind: 'ring', bytes: 64 })
    assert.throws(() => place(layout, { name: 'a', kind: 'ring', bytes: 64 }), /has a region a already/)
    assert.throws(() => place(layout, { name: 'b', kind: 'ring', bytes: 1 << 16 }), /no room for b \(65536 bytes/)
  })

  it('is printed with its gaps, without what has no bytes', () => {
    let layout = place(emptyLayout(1 << 21), { name: 'pool', kind: 'frames', bytes: 1 << 20, alignment: 4096 }).layout
    layout = place(layout, { name: 'wire', kind: 'ring', bytes: 1536 }).layout
    layout = place(layout, { name: 'no frames', kind: 'frames', bytes: 0 }).layout
    layout = place(layout, { name: 'faults', kind: 'counters', bytes: 40 }).layout
    assert.equal(
      printLayout(layout),
      [
        '0x00000000     4.0 KiB  free\n',
        '0x00001000     1.0 MiB  frames    pool\n',
        '0x00101000     1.5 KiB  ring      wire\n',
        '0x00101600      40 B    counters  faults\n',
        '0x00101628  1018.5 KiB  free\n',
      ].join(''),
    )
  })
})

function assertSound({ regions, bytes }: Layout): void {
  let end = FIRST_OFFSET
  for (const { name, offset, bytes: length, alignment } of regions) {
    assert.ok(offset >= end, `${name} begins before the region in front of it ends`)
    assert.equal(offset % alignment, 0, name)
    end = offset + length
  }
  assert.ok(end <= bytes)
}
