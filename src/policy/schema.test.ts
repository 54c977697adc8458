import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { policyJsonSchema } from './index.js'

const PUBLISHED = new URL('../../../docs/policy.schema.json', import.meta.url)

test('docs/policy.schema.json is what the schema says; SLUICE_UPDATE=1 writes it anew', () => {
  const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`
  if (process.env['SLUICE_UPDATE'] === '1') writeFileSync(PUBLISHED, text)
  assert.deepEqual(JSON.parse(readFileSync(PUBLISHED, 'utf8')), JSON.parse(text))
})
