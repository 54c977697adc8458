import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compileRules } from '../src/compile.js'
import { loadProgram } from '../src/loader/index.js'
import type { SetContents } from '../src/policy/index.js'
import { skipUnless } from './support/require.js'

/** Sets with members of both families, so that every rule looks up both. */
const CONTENTS: ReadonlyMap<string, SetContents> = new Map(['a', 'b'].map((name) => [name, bothFamilies()]))

const LISTS: readonly (readonly string[])[] = [
  ['net @a'],
  ['host @a'],
  ['src net @a'],
  ['ip6 net @a'],
  ['not net @a'],
  ['src and dst net @a'],
  ['net @a and tcp port 80'],
  ['tcp port 80 and not src net @a'],
  ['net @a or net @b'],
  ['src net @a', 'src net @b'],
  ['src net @a', 'udp'],
  ['udp', 'src net @a', 'tcp', 'dst net @b'],
  ['ip6 and net @a', 'vlan and net @b'],
]

describe('rules that ask sets of both families', { skip: skipUnless('root') }, () => {
  for (const matches of LISTS) {
    test(`load: ${matches.join('; ')}`, () => {
      const rules = matches.map((match) => ({ match, action: 'drop' }) as const)
      for (const multiBuffer of [false, true]) {
        const options = { sets: new Set(CONTENTS.keys()), setContents: CONTENTS, multiBuffer }
        const loaded = loadProgram(compileRules(rules, options).program)
        assert.ok(loaded.info.jitedBytes > 0)
        loaded.close()
      }
    })
  }
})

function bothFamilies(): SetContents {
  return {
    v4: { words: Uint32Array.of(0x0a000000, 0xc6336400), lengths: Uint8Array.of(8, 24) },
    v6: { words: Uint32Array.of(0x20010db8, 0, 0, 0, 0x20010db9, 0, 0, 1), lengths: Uint8Array.of(32, 128) },
  }
}
