import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSlot, parsePrefix } from './parse-prefix.js'
import type { Policy, SetSource } from './policy.js'
import { buildTable, type SetContents } from './prefix-set.js'

/** A list of addresses that cannot be used: the file, the line, what is wrong and what to do. */
export class SetError extends Error {
  override name = 'SetError'
}

const LINE_FEED = 0x0a
const SPACE = 0x20
const HASH = 0x23
/** Begins a comment in some published lists. */
const SEMICOLON = 0x3b
/** Lines that a first guess makes room for; a list grows by doubling. */
const FIRST_ROOM = 1024

/**
 * Reads a list: an address or prefix a line, IPv4 and IPv6 mixed; `#` or `;`
 * starts a comment. `name` stands in errors. Throws SetError at the first line
 * that is broken, and gives nothing then.
 */
export function readSet(bytes: Uint8Array, name: string): SetContents {
  const lists = { 4: createList(1), 6: createList(4) }
  const slot = createSlot()
  let line = 1
  for (let start = skipMark(bytes); start < bytes.length; line++) {
    let end = bytes.indexOf(LINE_FEED, start)
    if (end < 0) end = bytes.length
    const from = skipBlanks(bytes, start, end)
    const to = endOfEntry(bytes, from, end)
    if (from < to) {
      const fault = parsePrefix(bytes, from, to, slot)
      if (fault !== null) throw new SetError(`${name}:${line}: ${fault}`)
      lists[slot.family].add(slot.words, slot.length)
    }
    start = end + 1
  }
  return { v4: lists[4].table(), v6: lists[6].table() }
}

/** What the policy's sets hold, by their names. Relative paths count from `folder`. Throws SetError. */
export function loadSets({ sets }: Pick<Policy, 'sets'>, folder: string): ReadonlyMap<string, SetContents> {
  return new Map(Object.entries(sets).map(([name, source]) => [name, loadSet(source, name, folder)]))
}

function loadSet(source: SetSource, name: string, folder: string): SetContents {
  if (!('file' in source)) return readSet(Buffer.from(source.join('\n')), `set ${name}`)
  try {
    return readSet(readFileSync(resolve(folder, source.file)), source.file)
  } catch (error) {
    if (error instanceof SetError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new SetError(`${source.file}: the list of the set "${name}" cannot be read (${code}); check the path`)
  }
}

/** UTF-8 with a byte order mark, as some editors save it. */
function skipMark(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
}

function skipBlanks(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && bytes[at]! <= SPACE) at++
  return at
}

/** Before the comment, and before blanks and the carriage return in front of it. */
function endOfEntry(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && bytes[at] !== HASH && bytes[at] !== SEMICOLON) at++
  while (at > from && bytes[at - 1]! <= SPACE) at--
  return at
}

function createList(wordsEach: 1 | 4) {
  let words = new Uint32Array(FIRST_ROOM * wordsEach)
  let lengths = new Uint8Array(FIRST_ROOM)
  let count = 0
  const grow = () => {
    const [oldWords, oldLengths] = [words, lengths]
    words = new Uint32Array(oldWords.length * 2)
    words.set(oldWords)
    lengths = new Uint8Array(oldLengths.length * 2)
    lengths.set(oldLengths)
  }
  return {
    add(from: Uint32Array, length: number) {
      if (count === lengths.length) grow()
      for (let word = 0; word < wordsEach; word++) words[count * wordsEach + word] = from[word]!
      lengths[count++] = length
    },
    table: () => buildTable(words.subarray(0, count * wordsEach), lengths.subarray(0, count), wordsEach),
  }
}
