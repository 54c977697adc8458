import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRule } from '../src/compile.js'
import { loadProgram } from '../src/loader/index.js'
import { skipUnless } from './support/require.js'

test('six thousand hosts in one rule load, or are refused as too large with what to do', {
  skip: skipUnless('root'),
}, () => {
  const hosts = Array.from({ length: 6000 }, (_, index) => `host 10.${index >> 8}.${index & 255}.1`)
  const { program } = compileRule({ match: hosts.join(' or '), action: 'drop' })
  let refusal: unknown = null
  try {
    loadProgram(program).close()
  } catch (error) {
    refusal = error
  }
  if (refusal !== null) assert.match(String(refusal), /LoadError: .* too large .*: split the rule into several/)
})
