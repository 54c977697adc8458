import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  access,
  block,
  br,
  brIf,
  call,
  end,
  get,
  i32,
  i64,
  loop,
  op,
  otherwise,
  printModule,
  set,
  tee,
  type WasmModule,
  when,
} from './index.js'

const MODULE: WasmModule = {
  memory: { module: 'host', field: 'memory', minimumPages: 1, maximumPages: 4, shared: true },
  imports: [{ module: 'sets', field: 'bad/4', name: 'bad hosts/4', parameters: ['i32'], results: ['i32'] }],
  functions: [
    {
      name: 'run',
      exported: true,
      parameters: [{ name: 'frame', type: 'i32' }],
      results: ['i64'],
      locals: [{ name: 'v0', type: 'i32' }],
      body: [
        block('done'),
        loop('next'),
        ...[get('frame'), access('i32.load16_u', 12), i32(8), op('i32.ne'), brIf('done')],
        ...[get('frame'), access('i32.load', 0), call('bad hosts/4'), tee('v0')],
        ...[when('chosen'), get('frame'), i32(-1), access('i32.store', 4), otherwise, i32(2), set('v0'), end],
        br('next'),
        end,
        end,
        i64(-5n),
      ],
    },
  ],
}

it('prints operands inside of what takes them, one statement a line', () => {
  assert.equal(
    printModule(MODULE),
    `(module
  (import "sets" "bad/4" (func $bad_hosts/4 (param i32) (result i32)))
  (import "host" "memory" (memory 1 4 shared))
  (func $run (export "run") (param $frame i32) (result i64)
    (local $v0 i32)
    block $done
      loop $next
        (br_if $done (i32.ne (i32.load16_u offset=12 align=1 (local.get $frame)) (i32.const 8)))
        (local.tee $v0 (call $bad_hosts/4 (i32.load align=1 (local.get $frame))))
        if $chosen
          (i32.store offset=4 align=1 (local.get $frame) (i32.const -1))
        else
          (local.set $v0 (i32.const 2))
        end
        (br $next)
      end
    end
    (i64.const -5)
  )
)
`,
  )
})

it('prints a value that is still on the stack when a branch may leave as a line of its own', () => {
  const body = [
    block('out'),
    i32(6),
    get('frame'),
    tee('v0'),
    op('i32.eqz'),
    brIf('out'),
    get('v0'),
    op('i32.div_u'),
    op('drop'),
    end,
  ]
  const text = printModule({ ...MODULE, functions: [{ ...MODULE.functions[0]!, body: [...body, i64(0n)] }] })
  assert.match(
    text,
    /block \$out\n {6}\(i32\.const 6\)\n {6}\(br_if \$out \(i32\.eqz \(local\.tee \$v0 \(local\.get \$frame\)\)\)\)\n {6}\(drop \(i32\.div_u \(local\.get \$v0\)\)\)\n/,
  )
})
