import type { NetworkDevice } from '../../device/index.js'
import { assemble, exit, mov64, type Program, R0, XDP } from '../../ebpf/index.js'
import type { Stage } from '../../engine/index.js'
import { prepareHandOver, withNamespace } from '../../kernel/index.js'
import { BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED } from '../../memory/index.js'
import { ETHERTYPE } from '../../wire/index.js'

/** Passes everything: what is run by it is the kernel's. */
export const PASS_PROGRAM: Program = {
  ...{ name: 'hand_over', type: 'xdp', license: 'GPL', multiBuffer: false, maps: [] },
  ...assemble([mov64(R0, XDP.pass), exit()]),
}

const WORDS = DESCRIPTOR_BYTES / 4
const MOST_BYTES = 2048
/** Each takes up to 100 µs of the thread that forwards. */
const MOST_A_MS = 4
/** So many at once where none came before: those of a few datagrams that have waited together while the thread did not run. */
const MOST_SAVED = 64
const IPV6_FRAGMENT = 44

/**
 * Gives fragments back to the kernel which are for the router itself, as if
 * the device had received them: who else than its kernel knows what they are a
 * part of. Packets that are none go on by `others`.
 */
export function handOver(name: string, { index, namespace }: NetworkDevice, program: number): Stage {
  return {
    name,
    outputs: ['others'],
    drops: ['too many', 'not taken'],
    kind: 'hand over',
    settings: { index, program },
    start({ space, pool, drops }) {
      const { words, bytes, counters } = space
      const data = new Uint8Array(MOST_BYTES)
      const give = prepareHandOver(program, index, data)
      let [left, since] = [MOST_SAVED, 0]
      let [bundle, first, end] = [0, 0, 0]

      function handOne(packet: number, captured: number): void {
        if (left < 1) counters[drops / 8]! += 1
        else {
          left--
          const length = Math.min(captured, MOST_BYTES)
          for (let at = 0; at < length; at++) data[at] = bytes[packet + at]!
          if (give(length) !== 0) counters[drops / 8 + 1]! += 1
        }
      }

      /** Those from `first` on, of which the first is a fragment. */
      function handRest(): void {
        let others = first
        for (let at = first; at < end; at += WORDS) {
          const packet = words[at + DESCRIPTOR_ADDRESS / 4]!
          if (isFragment(bytes, packet)) {
            handOne(packet, words[at + DESCRIPTOR_CAPTURED / 4]!)
            pool.give(at * 4, 1)
          } else {
            words.copyWithin(others, at, at + WORDS)
            others += WORDS
          }
        }
        words[bundle / 4]! -= (end - others) / WORDS
      }

      return {
        run(given) {
          bundle = given
          first = (bundle + BUNDLE_DESCRIPTORS) / 4
          end = first + words[bundle / 4]! * WORDS
          while (first < end && !isFragment(bytes, words[first + DESCRIPTOR_ADDRESS / 4]!)) first += WORDS
          if (first === end) return
          const now = performance.now()
          left = Math.min(MOST_SAVED, left + (now - since) * MOST_A_MS)
          since = now
          // Only for what is handed back: entering takes a file and three system calls.
          if (namespace && left >= 1) withNamespace(namespace, handRest)
          else handRest()
        },
      }
    },
  }
}

function isFragment(bytes: Uint8Array, packet: number): boolean {
  const type = (bytes[packet + 12]! << 8) | bytes[packet + 13]!
  if (type === ETHERTYPE.ipv4) return (bytes[packet + 20]! & 0x3f) !== 0 || bytes[packet + 21] !== 0
  return type === ETHERTYPE.ipv6 && bytes[packet + 20] === IPV6_FRAGMENT
}
