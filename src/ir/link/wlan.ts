import type { Direction, Span } from '../../filter/index.js'
import { all, any, type Condition, matchesMask, not } from '../condition.js'
import { type Headers, type LinkLayer, linkLayer, moved, type Stations } from '../headers.js'
import { load, type Place } from '../value.js'
import { carriesByLlc } from './llc.js'

/** Bits of the frame control field (IEEE 802.11, 9.2.4.1), by their byte. */
const TYPE_MASK = 0x0c
const SUBTYPE_MASK = 0xf0
const CONTROL_BIT = 0x04
const DATA_BIT = 0x08
const TO_DS = 0x01
const FROM_DS = 0x02
const CTS = 0xc0
const ACK = 0xd0

/** Offsets of the addresses, of which the type and the direction of a frame tell the meaning (9.3.2.1). */
const ADDRESS = { first: 4, second: 10, third: 16, fourth: 24 } as const

const has = ({ start }: Headers, byte: 0 | 1, mask: number, value = mask) =>
  matchesMask(load(start, byte, 1), mask, value)
const lacks = (headers: Headers, byte: 0 | 1, bit: number) => has(headers, byte, bit, 0)

type Matches = (offset: number) => Condition

/** The source: the second address, but behind an access point the third, or between two the fourth. */
function atSource(headers: Headers, matches: Matches): Condition {
  const fromDs = any(
    all(lacks(headers, 1, TO_DS), matches(ADDRESS.third)),
    all(has(headers, 1, TO_DS), matches(ADDRESS.fourth)),
  )
  const ofData = any(all(lacks(headers, 1, FROM_DS), matches(ADDRESS.second)), all(has(headers, 1, FROM_DS), fromDs))
  return ofDataOrManagement(headers, matches(ADDRESS.second), ofData)
}

/** The destination: the first address, but towards an access point the third. */
function atDestination(headers: Headers, matches: Matches): Condition {
  const ofData = any(
    all(lacks(headers, 1, TO_DS), matches(ADDRESS.first)),
    all(has(headers, 1, TO_DS), matches(ADDRESS.third)),
  )
  return ofDataOrManagement(headers, matches(ADDRESS.first), ofData)
}

/** Control frames have neither source nor destination. */
function ofDataOrManagement(headers: Headers, ofManagement: Condition, ofData: Condition): Condition {
  return all(
    lacks(headers, 0, CONTROL_BIT),
    any(all(lacks(headers, 0, DATA_BIT), ofManagement), all(has(headers, 0, DATA_BIT), ofData)),
  )
}

function isControl(headers: Headers): Condition {
  return has(headers, 0, TYPE_MASK, CONTROL_BIT)
}

/** CTS and ACK frames end behind the first address. */
function hasSecondAddress(headers: Headers): Condition {
  const isShort = any(has(headers, 0, SUBTYPE_MASK, CTS), has(headers, 0, SUBTYPE_MASK, ACK))
  return any(not(isControl(headers)), not(isShort))
}

function findAddress(
  headers: Headers,
  direction: Direction,
  _span: Span,
  matchesPlace: (place: Place) => Condition,
): Condition {
  const matches = (offset: number) => matchesPlace(moved(headers.start, offset))
  switch (direction) {
    case 'src':
      return atSource(headers, matches)
    case 'dst':
      return atDestination(headers, matches)
    case 'src-and-dst':
      return all(atSource(headers, matches), atDestination(headers, matches))
    case 'src-or-dst':
      return any(atSource(headers, matches), atDestination(headers, matches))
    case 'addr1':
      return matches(ADDRESS.first)
    case 'addr2':
      return all(hasSecondAddress(headers), matches(ADDRESS.second))
    case 'addr3':
      return all(not(isControl(headers)), matches(ADDRESS.third))
    case 'addr4':
      return all(has(headers, 1, TO_DS | FROM_DS), matches(ADDRESS.fourth))
    case 'ra':
      return all(has(headers, 0, DATA_BIT), matches(ADDRESS.first))
    case 'ta':
      return all(has(headers, 0, DATA_BIT), hasSecondAddress(headers), matches(ADDRESS.second))
  }
}

const stations: Stations = {
  broadcast: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  hasGroupBit: true,
  find: findAddress,
}

function isData(headers: Headers): Condition {
  return has(headers, 0, TYPE_MASK, DATA_BIT)
}

/** IEEE 802.11, whatever radio header stands before it. */
export function wlan(name: string): LinkLayer {
  return linkLayer({
    name,
    snapBytes: 8,
    llcBytes: 3,
    stations,
    isTagged: true,
    hasLlc: isData,
    carries: (headers, protocol) => all(isData(headers), carriesByLlc(headers, protocol)),
  })
}
