/** Which rule has which place in the maps of a policy; a rule keeps its own for as long as it stays. */
export interface Slots {
  readonly capacity: number
  readonly byIdentity: ReadonlyMap<string, number>
  /** Never given out since the maps were made, lowest last. */
  readonly unused: readonly number[]
}

/** Slots for maps that were just made, in which those of `before` keep their numbers. */
export function startSlots(capacity: number, before: ReadonlyMap<string, number> = new Map()): Slots {
  const taken = new Set(before.values())
  const unused: number[] = []
  for (let slot = capacity - 1; slot >= 0; slot--) if (!taken.has(slot)) unused.push(slot)
  return { capacity, byIdentity: new Map(before), unused }
}

/**
 * Slots for these rules. What a rule had is not given to another one: the
 * program that is about to be replaced may still count there. Null where the
 * maps have no room left.
 */
export function assignSlots(slots: Slots, identities: readonly string[]): Slots | null {
  const unused = [...slots.unused]
  const byIdentity = new Map<string, number>()
  for (const identity of identities) {
    const slot = slots.byIdentity.get(identity) ?? unused.pop()
    if (slot === undefined) return null
    byIdentity.set(identity, slot)
  }
  return { capacity: slots.capacity, byIdentity, unused }
}
