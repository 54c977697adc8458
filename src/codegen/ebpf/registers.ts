import { REGISTERS, type Register } from '../../ebpf/index.js'

/** Which expression each register holds, and how far behind each base the packet is checked, at one point of the program. */
export interface Snapshot {
  readonly held: readonly (string | null)[]
  readonly checked: ReadonlyMap<string, number>
}

/** Answers for keys of expressions: is it needed again, and where for the last time. */
export interface Liveness {
  isNeeded(key: string): boolean
  lastUse(key: string): number
}

/** Key of the packet's start in `checked`; other bases count only while their pointer is in a register. */
export const PACKET_START = ''

/**
 * The registers that the program's tests share. A register keeps what was
 * computed in it until it is taken for something else; a pinned one is in use
 * by the instruction being built and is not taken.
 */
export interface RegisterFile {
  /** The register that holds `key`, pinned; null where none does. */
  find(key: string): Register | null
  /** A pinned register with nothing of use in it. */
  take(): Register
  /** Undoes one `find` or `take`. */
  release(register: Register): void
  hold(register: Register, key: string): void
  forget(register: Register): void
  /** How many registers are not pinned. */
  available(): number
  checkedBytes(baseKey: string): number
  setChecked(baseKey: string, bytes: number): void
  snapshot(): Snapshot
  restore(snapshot: Snapshot): void
}

export function createRegisterFile(pool: readonly Register[], liveness: Liveness): RegisterFile {
  let held: (string | null)[] = REGISTERS.map(() => null)
  let checked = new Map<string, number>()
  const pins: number[] = REGISTERS.map(() => 0)

  const forget = (register: Register) => {
    const key = held[register.index]
    if (key?.startsWith('&')) checked.delete(key.slice(1))
    held[register.index] = null
  }
  /** What losing the content costs: nothing, a computation, or a computation and a bounds check. */
  const worth = (register: Register) => {
    const key = held[register.index]
    if (key === null || key === undefined || !liveness.isNeeded(key)) return 0
    return key.startsWith('&') ? 2 : 1
  }
  const preferred = (one: Register, other: Register) => {
    const difference = worth(other) - worth(one)
    if (difference !== 0 || worth(one) === 0) return difference > 0 ? one : difference < 0 ? other : one
    return liveness.lastUse(held[one.index]!) >= liveness.lastUse(held[other.index]!) ? one : other
  }
  return {
    find(key) {
      const register = pool.find(({ index }) => held[index] === key)
      if (register === undefined) return null
      pins[register.index]!++
      return register
    },
    take() {
      const free = pool.filter(({ index }) => pins[index] === 0)
      if (free.length === 0)
        throw new Error('the eBPF code generator ran out of registers; please report the expression')
      const register = free.reduce(preferred)
      forget(register)
      pins[register.index]!++
      return register
    },
    release({ index }) {
      if (pins[index]! > 0) pins[index]!--
    },
    hold(register, key) {
      held[register.index] = key
    },
    forget,
    available: () => pool.filter(({ index }) => pins[index] === 0).length,
    checkedBytes: (baseKey) => checked.get(baseKey) ?? 0,
    setChecked: (baseKey, bytes) => checked.set(baseKey, bytes),
    snapshot: () => ({ held: [...held], checked: new Map(checked) }),
    restore(snapshot) {
      held = [...snapshot.held]
      checked = new Map(snapshot.checked)
      pins.fill(0)
    },
  }
}

/** What holds at a place that is reached from two: the registers and checks that both agree on. */
export function meetSnapshots(one: Snapshot, other: Snapshot): Snapshot {
  const held = one.held.map((key, index) => (key === other.held[index] ? key : null))
  const checked = new Map<string, number>()
  for (const [key, bytes] of one.checked) {
    const both = Math.min(bytes, other.checked.get(key) ?? 0)
    if (both > 0 && (key === PACKET_START || held.includes(`&${key}`))) checked.set(key, both)
  }
  return { held, checked }
}

/** Only the addresses that registers hold, and what is checked behind them. */
export function pointersOf({ held, checked }: Snapshot): Snapshot {
  return { held: held.map((key) => (key?.startsWith('&') ? key : null)), checked }
}
