import assert from 'node:assert/strict'
import { it } from 'node:test'
import { seededRandom } from '../../../test/support/random.js'
import {
  br,
  brIf,
  encodeModule,
  get,
  type Instruction,
  i32,
  instantiate,
  op,
  set,
  type WasmFunction,
} from '../../wasm/index.js'
import { nestBlocks, type Piece } from './blocks.js'

/** Adds the piece's number to the path: path = path * 16 + number, which tells eight pieces apart. */
const visit = (position: number) => [get('path'), i32(4), op('i32.shl'), i32(position + 1), op('i32.or'), set('path')]
/** Branches where bit `position` of the answers is set. */
const ask = (position: number, label: string) => [get('answers'), i32(1 << position), op('i32.and'), brIf(label)]

function run(pieces: readonly Piece[]): (answers: number) => number {
  const local = (name: string) => ({ name, type: 'i32' }) as const
  const definition: WasmFunction = {
    name: 'run',
    exported: true,
    parameters: [local('answers')],
    results: ['i32'],
    locals: [local('path')],
    body: [...nestBlocks(pieces), get('path')],
  }
  return instantiate(encodeModule({ memory: null, imports: [], functions: [definition] }), {})['run'] as never
}

it('random forward branches go where they say', (context) => {
  const random = seededRandom(context, 'blocks')
  for (let round = 0; round < 200; round++) {
    const size = 2 + random.below(6)
    const later = (position: number) => position + 1 + random.below(size - position - 1)
    const branches = Array.from({ length: size - 1 }, (_, position) => ({
      yes: later(position),
      no: random.below(2) === 0 ? position + 1 : later(position),
    }))
    const branchedFrom: number[][] = Array.from({ length: size }, () => [])
    const codes = Array.from({ length: size }, (_, position): Instruction[] => {
      const branch = branches[position]
      if (branch === undefined) return visit(position)
      const jumps = branch.no === position + 1 ? [branch.yes] : [branch.yes, branch.no]
      for (const target of jumps) branchedFrom[target]!.push(position)
      const [, away] = jumps
      return [
        ...visit(position),
        ...ask(position, `to ${branch.yes}`),
        ...(away === undefined ? [] : [br(`to ${away}`)]),
      ]
    })
    const judged = run(codes.map((code, index) => ({ label: `to ${index}`, code, branchedFrom: branchedFrom[index]! })))
    for (let answers = 0; answers < 2 ** size; answers++) {
      let path = 0
      for (let position = 0; position < size; ) {
        path = (path << 4) | (position + 1)
        const branch = branches[position]
        position = branch === undefined ? size : (answers & (1 << position)) !== 0 ? branch.yes : branch.no
      }
      assert.equal(judged(answers), path, JSON.stringify({ branches, answers }))
    }
  }
})

it('opens a block at the first branch to its target, where nothing reaches across', () => {
  const piece = (label: string, ...branchedFrom: number[]): Piece => ({ label, code: [op('nop')], branchedFrom })
  const shape = nestBlocks([piece('a'), piece('b'), piece('c', 1), piece('d', 0, 1)])
    .map((instruction) => (instruction.kind === 'open' ? instruction.label : instruction.kind === 'end' ? 'end' : '.'))
    .join(' ')
  assert.equal(shape, 'd . c . end . end .')
})
