import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Device } from './device.js'
import { draw, type Line, printGraph, receive, send } from './graph.js'
import { isSameStage, type Stage } from './stage.js'

const device = (name: string) => ({ name }) as Device
const stage = (name: string, outputs: readonly string[] = ['out'], settings: Stage['settings'] = {}): Stage => ({
  name,
  outputs,
  drops: [],
  kind: 'test',
  settings,
  start: () => ({ run() {} }),
})

describe('a graph', () => {
  const [near, far] = [device('near'), device('far')]

  it('is what was drawn, each stage before those it leads to', () => {
    const [split, merge] = [stage('split', ['even', 'odd']), stage('merge')]
    const odd = stage('odd')
    const graph = draw([receive(near), split, merge, send(far)], ['split.odd', odd, merge], [receive(far), odd])
    assert.deepEqual(
      graph.stages.map(({ name }) => name),
      ['split', 'odd', 'merge', 'send far'],
    )
    assert.equal(
      printGraph(graph),
      [
        'receive near ─▶ split\n',
        'receive far ─▶ odd\n',
        'split ─ even ─▶ merge\n',
        'merge ─ out ─▶ send far\n',
        'split ─ odd ─▶ odd\n',
        'odd ─ out ─▶ merge\n',
      ].join(''),
    )
  })

  it('may send to one device from several places', () => {
    const graph = draw([receive(near), stage('a'), send(far)], [receive(far), stage('b'), send(far)])
    assert.deepEqual(
      graph.stages.filter(({ kind }) => kind === 'send').map(({ name }) => name),
      ['send far'],
    )
  })

  it('is refused with a sentence where it cannot work', () => {
    const [a, b] = [stage('a'), stage('b')]
    const end = stage('end', [])
    for (const [lines, sentence] of [
      [[[receive(near), a]], /a\.out leads nowhere; add a line/],
      [[[receive(near), stage('c', ['x', 'y']), end]], /c\.y leads nowhere/],
      [[[receive(near), end, a]], /nothing can stand behind end/],
      [[[receive(near), a, stage('a'), end]], /two stages are called a/],
      [
        [
          [receive(near), a, send(device('wire'))],
          [receive(far), b, send(device('wire'))],
        ],
        /two devices that are sent to are called wire; open one of them by another name/,
      ],
      [
        [
          [receive(device('wire')), a, end],
          [receive(device('wire')), b, end],
        ],
        /two devices that are received from are called wire/,
      ],
      [
        [
          [receive(near), a, end],
          ['a.out', b, end],
        ],
        /a\.out leads to end and to b/,
      ],
      [
        [
          [receive(near), a, end],
          ['d.out', end],
        ],
        /no line has a stage d/,
      ],
      [
        [
          [receive(near), a, end],
          ['a.other', end],
        ],
        /a has no output other; its outputs are out/,
      ],
      [[[receive(near), a, b, a]], /leads back to itself/],
      [[['a.out'], [receive(near), a, end]], /has a begin and no stage/],
    ] as const) {
      assert.throws(() => draw(...(lines as unknown as Line[])), { name: 'GraphError', message: sentence })
    }
  })
})

describe('stages are the same', () => {
  it('where name, kind and every setting are', () => {
    const settings = { judge: () => {}, rate: 5 }
    assert.ok(isSameStage(stage('a', ['out'], settings), stage('a', ['out'], { ...settings })))
    assert.ok(!isSameStage(stage('a', ['out'], settings), stage('b', ['out'], settings)))
    assert.ok(!isSameStage(stage('a', ['out'], settings), stage('a', ['out'], { ...settings, rate: 6 })))
    assert.ok(!isSameStage(stage('a', ['out'], settings), stage('a', ['out'], { ...settings, more: 1 })))
    assert.ok(!isSameStage(stage('a', ['out'], settings), { ...stage('a', ['out'], settings), kind: 'other' }))
  })
})
