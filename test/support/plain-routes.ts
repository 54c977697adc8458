import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { Route, RouteList } from '../../src/route/index.js'
import type { Random } from './random.js'
import type { Family } from './random-prefixes.js'
import { CORPUS } from './require.js'

/**
 * Routes as one would write them without a thought of speed: for each length a
 * map of what stands before the rest of the address, asked from the longest on.
 */
export class PlainRoutes {
  readonly #lengths = new Map<number, Map<string, number>>()
  size = 0

  insert(words: ArrayLike<number>, length: number, hop: number): void {
    const known = this.#lengths.get(length) ?? new Map<string, number>()
    this.#lengths.set(length, known)
    if (!known.has(keyOf(words, length))) this.size++
    known.set(keyOf(words, length), hop)
  }

  remove(words: ArrayLike<number>, length: number): boolean {
    const wasThere = this.#lengths.get(length)?.delete(keyOf(words, length)) ?? false
    if (wasThere) this.size--
    return wasThere
  }

  lookup(words: ArrayLike<number>): Route {
    for (let length = 32 * words.length; length >= 0; length--) {
      const nextHop = this.#lengths.get(length)?.get(keyOf(words, length))
      if (nextHop !== undefined) return { prefixLength: length, nextHop }
    }
    return { prefixLength: 0, nextHop: 0 }
  }
}

/** The first `length` bits, in words. */
function keyOf(words: ArrayLike<number>, length: number): string {
  const kept: number[] = []
  for (let word = 0; 32 * word < length; word++) {
    const bits = length - 32 * word
    kept.push(bits >= 32 ? words[word]! : Math.floor(words[word]! / 2 ** (32 - bits)))
  }
  return kept.join(':')
}

/** All routes of a family in a BGP table of the corpus; next hops of 1 to `hops`, by the origin. */
export function tableRoutes(file: string, family: Family, hops: number): RouteList {
  const words: number[] = []
  const lengths: number[] = []
  const nextHops: number[] = []
  const text = gunzipSync(readFileSync(`${CORPUS}routes/${file}`)).toString('latin1')
  for (const line of text.split('\n')) {
    const [, address, length, origin] = /^([0-9a-f.:]+)\/(\d+)\t(\d+)/.exec(line) ?? []
    if (address === undefined || address.includes(':') !== (family === 6)) continue
    words.push(...addressWords(address))
    lengths.push(Number(length))
    nextHops.push(1 + (Number(origin) % hops))
  }
  return { words: Uint32Array.from(words), lengths: Uint8Array.from(lengths), hops: Uint32Array.from(nextHops) }
}

/** The same routes, for comparison. */
export function plainOf({ words, lengths, hops }: RouteList): PlainRoutes {
  const plain = new PlainRoutes()
  const width = words.length / lengths.length
  lengths.forEach((length, route) => {
    plain.insert(words.subarray(route * width, (route + 1) * width), length, hops[route]!)
  })
  return plain
}

/** Anywhere, or within or just beside one of the routes. */
export function someAddress(random: Random, { words, lengths }: RouteList): number[] {
  const width = words.length / lengths.length
  const anywhere = Array.from({ length: width }, random.word)
  if (random.below(4) === 0) return anywhere
  const route = random.below(lengths.length)
  const length = lengths[route]! + random.below(3) - 1
  return anywhere.map((other, word) => {
    const bits = Math.min(32, Math.max(0, length - 32 * word))
    const mask = bits === 0 ? 0 : -1 << (32 - bits)
    return ((words[route * width + word]! & mask) | (other & ~mask)) >>> 0
  })
}

/** Words in network order. */
export function bytesOf(words: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(4 * words.length)
  const view = new DataView(bytes.buffer)
  for (let word = 0; word < words.length; word++) view.setUint32(4 * word, words[word]!)
  return bytes
}

/** An address as it is written, in words. */
export function addressWords(text: string): number[] {
  return text.includes(':') ? words6(text) : [word4(text)]
}

function word4(text: string): number {
  return text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
}

function words6(text: string): number[] {
  const [head, tail] = text.split('::').map((half) => half.split(':').filter((group) => group !== ''))
  const groups =
    tail === undefined ? head! : [...head!, ...new Array(8 - head!.length - tail.length).fill('0'), ...tail]
  const numbers = groups.map((group) => Number.parseInt(group, 16))
  return [0, 2, 4, 6].map((at) => numbers[at]! * 65_536 + numbers[at + 1]!)
}
