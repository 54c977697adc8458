import { placeMatcher } from '../../codegen/index.js'
import type { JudgePlace, Space } from '../../memory/index.js'
import { LISTENED, type ListenOptions } from '../../stages/index.js'
import { DeviceError } from '../device.js'
import { compileExpression } from '../service/compile-expression.js'
import type { HookPoint } from './draw.js'

/** Somebody who wants to filter, count or mirror what passes a hook of a router. */
export interface ListenerRequest {
  readonly at: HookPoint
  /** `drop`: what matches goes no further. `count`: it is counted. `mirror`: `copyTo` gets a copy of it. */
  readonly action: ListenOptions['action']
  /** Which packets, in tcpdump's language; all where it is not said. */
  readonly match?: string
  /** At prerouting and forward: only those that come by this device of the router. */
  readonly from?: string
  /** At forward and postrouting: only those that leave by this one. */
  readonly to?: string
  /** Of a mirror: the device of the router by which copies leave. What comes or leaves by that one is not copied. */
  readonly copyTo?: string
}

/** A listener as plain data, for any thread over the same memory. */
export interface Listener {
  /** Unique in the life of a router. */
  readonly number: number
  readonly at: HookPoint
  readonly action: ListenOptions['action']
  readonly matcher: JudgePlace
  /** Places of ports; null: any. */
  readonly from: number | null
  readonly to: number | null
  readonly copyTo: number | null
  /** Address of LISTENER_BYTES for each worker. */
  readonly counters: number
}

/** What a listener has been about. */
export interface Heard {
  readonly packets: number
  /** On the wire. */
  readonly bytes: number
  /** Of a mirror: those of which it has made a copy, for which there was a frame. */
  readonly copied?: number
}

/** Of one worker: LISTENED, on a cache line of its own. */
export const LISTENER_BYTES = 64
const POINTS = ['prerouting', 'forward', 'postrouting'] as const
const ACTIONS = ['drop', 'count', 'mirror'] as const
/** A packet passes each of them. */
const MOST_LISTENERS = 32

export interface Listeners {
  /** Those that there are, in the order in which packets meet them at a hook. */
  all(): readonly Listener[]
  /** The last one at its hook. Throws DeviceError, FilterError and LayoutError. */
  add(request: ListenerRequest): Listener
  heard(listener: Listener): Heard
  /** It is in `all` no more. */
  remove(listener: Listener): void
  /** Gives its memory back, when no thread has it in its graph any more; what it has dropped stays in `dropped`. */
  free(listener: Listener): void
  /** Packets that listeners have dropped, with those that are gone: by the hook. */
  dropped(): Readonly<Partial<Record<HookPoint, number>>>
  /** Copies that mirrors have made, with those that are gone. */
  copied(): number
}

/** Keeps the listeners of a router with these devices and so many workers, in memory that any of them may read. */
export function openListeners(space: Space, devices: readonly string[], workers: number): Listeners {
  const all: Listener[] = []
  const matchers = new Map<Listener, () => void>()
  const past: Partial<Record<HookPoint, number>> = {}
  let pastCopied = 0
  let next = 1
  const nameOf = ({ number }: Pick<Listener, 'number'>) => `hook ${number}`
  const sum = ({ counters }: Listener, at: number) =>
    Array.from({ length: workers }, (_, worker) => space.counters[(counters + worker * LISTENER_BYTES + at) / 8]!)
      // A worker that is started again goes on with its line.
      .reduce((total, count) => total + count, 0)
  const heard = (listener: Listener) => ({
    packets: sum(listener, LISTENED.packets),
    bytes: sum(listener, LISTENED.bytes),
    ...(listener.action === 'mirror' && { copied: sum(listener, LISTENED.copied) }),
  })

  function placeOf(device: string | undefined): number | null {
    if (device === undefined) return null
    const place = devices.indexOf(device)
    if (place >= 0) return place
    throw new DeviceError(`${device} is no device of this router; name one of ${devices.join(', ')}`)
  }

  return {
    all: () => [...all],
    add(request) {
      checkRequest(request)
      if (matchers.size >= MOST_LISTENERS)
        throw new DeviceError(`a router has ${MOST_LISTENERS} listeners at most; end one of them`)
      const { at, action, match = '' } = request
      const [from, to, copyTo] = [placeOf(request.from), placeOf(request.to), placeOf(request.copyTo)]
      const number = next++
      const name = nameOf({ number })
      const matcher = placeMatcher(space, name, compileExpression(match))
      const counts = {
        name: `${name} counts`,
        kind: 'counters',
        bytes: workers * LISTENER_BYTES,
        alignment: 64,
      } as const
      try {
        const { offset: counters } = space.reserve(counts)
        space.bytes.fill(0, counters, counters + counts.bytes)
        const listener = { number, at, action, matcher: matcher.place, from, to, copyTo, counters }
        matchers.set(listener, matcher.close)
        all.push(listener)
        return listener
      } catch (error) {
        matcher.close()
        throw error
      }
    },
    heard,
    remove(listener) {
      all.splice(all.indexOf(listener), 1)
    },
    free(listener) {
      if (listener.action === 'drop') past[listener.at] = (past[listener.at] ?? 0) + heard(listener).packets
      pastCopied += heard(listener).copied ?? 0
      matchers.get(listener)?.()
      matchers.delete(listener)
      space.free(`${nameOf(listener)} counts`)
    },
    dropped() {
      const dropped = { ...past }
      for (const listener of matchers.keys()) {
        const { at, action } = listener
        if (action === 'drop') dropped[at] = (dropped[at] ?? 0) + heard(listener).packets
      }
      return dropped
    },
    copied: () => [...matchers.keys()].reduce((copied, listener) => copied + (heard(listener).copied ?? 0), pastCopied),
  }
}

function checkRequest({ at, action, from, to, copyTo }: ListenerRequest): void {
  hookPoint(at)
  hookAction(action)
  if (at === 'prerouting' && to !== undefined)
    throw new DeviceError(`at prerouting nobody knows yet that a packet leaves by ${to}; listen at forward`)
  if (at === 'postrouting' && from !== undefined)
    throw new DeviceError(`at postrouting nobody asks whether a packet came by ${from}; listen at forward`)
  if (action === 'mirror' && copyTo === undefined)
    throw new DeviceError('a mirror needs a device of the router for its copies: mirror:DEVICE')
  if (action !== 'mirror' && copyTo !== undefined)
    throw new DeviceError(`only a mirror sends copies; leave ${copyTo} out, or write mirror:${copyTo}`)
}

/** The hook of that name. Throws DeviceError. */
export function hookPoint(word: string): HookPoint {
  return oneOf(POINTS, word, 'hook')
}

/** What a listener of that name does. Throws DeviceError. */
export function hookAction(word: string): ListenerRequest['action'] {
  return oneOf(ACTIONS, word, 'action at a hook')
}

function oneOf<const Word extends string>(words: readonly Word[], word: string, what: string): Word {
  const found = words.find((each) => each === word)
  if (found !== undefined) return found
  throw new DeviceError(`there is no ${what} "${word}"; choose one of ${words.join(', ')}`)
}
