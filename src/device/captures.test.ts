import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CORPUS, skipUnless } from '../../test/support/require.js'
import { CaptureError } from './capture.js'
import { openCapture } from './open-capture.js'

/** What libpcap 1.10.3 read from each capture of the corpus. */
interface Expected {
  readonly file: string
  readonly fmt: string
  readonly dlt?: string
  readonly packets?: number
  readonly snaplen?: number
  /** Packets of which less was captured than was on the wire. */
  readonly truncated?: number
  /** The longest packet, bytes on the wire. */
  readonly maxlen?: number
  readonly read_error?: string
  readonly open_error?: string
}

/** libpcap 1.10.3 prints the number where later versions and we have a name. */
const LATER_NAMES: Readonly<Record<string, string>> = { '149': 'USER2' }

function summarize(path: string) {
  const capture = openCapture(path)
  let packets = 0
  let truncated = 0
  let maxlen = 0
  for (const { data, wireLength } of capture.packets()) {
    packets++
    if (data.length < wireLength) truncated++
    maxlen = Math.max(maxlen, wireLength)
  }
  const { format, linkType, snapLength, error } = capture
  return { fmt: format, dlt: linkType, packets, snaplen: snapLength, truncated, maxlen, broken: error !== null }
}

test('every capture of the corpus reads as libpcap reads it', { skip: skipUnless('corpus') }, (t) => {
  const captures = JSON.parse(readFileSync(`${CORPUS}captures.json`, 'utf8')) as Expected[]
  let packets = 0
  for (const expected of captures) {
    const { file, fmt, dlt = '', snaplen, truncated, maxlen } = expected
    const path = CORPUS + file
    if (expected.open_error !== undefined) {
      assert.throws(() => openCapture(path), CaptureError, `${file}: ${expected.open_error}`)
      continue
    }
    const read = summarize(path)
    packets += read.packets
    assert.deepEqual(
      read,
      {
        fmt,
        dlt: LATER_NAMES[dlt] ?? dlt,
        packets: expected.packets,
        snaplen,
        truncated,
        maxlen,
        broken: expected.read_error !== undefined,
      },
      file,
    )
  }
  assert.ok(captures.length > 1000)
  t.diagnostic(`${captures.length} captures, ${packets} packets`)
})
