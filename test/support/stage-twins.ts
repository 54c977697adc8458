/** What a stage does with a list of packets, in plain TypeScript: the oracle of its AssemblyScript. */
export type StageTwin = (packets: readonly Uint8Array[]) => {
  /** Packets of each output, in order. */
  readonly outputs: readonly (readonly Uint8Array[])[]
  readonly drops: Readonly<Record<string, number>>
}

export const countTwin: StageTwin = (packets) => ({ outputs: [packets], drops: {} })

export const reflectTwin: StageTwin = (packets) => {
  const whole = packets.filter(({ length }) => length >= 14)
  const swapped = whole.map((packet) =>
    Uint8Array.of(...packet.slice(6, 12), ...packet.slice(0, 6), ...packet.slice(12)),
  )
  return { outputs: [swapped], drops: { 'too short': packets.length - whole.length } }
}

export const discardTwin =
  (reason: string): StageTwin =>
  (packets) => ({ outputs: [], drops: { [reason]: packets.length } })

/** `verdict` is the first rule that matches a packet, or -1. */
export const earlyDropTwin =
  (verdict: (packet: Uint8Array) => number, drops: readonly boolean[]): StageTwin =>
  (packets) => {
    const passed = packets.filter((packet) => drops[verdict(packet)] !== true)
    return { outputs: [passed], drops: { matched: packets.length - passed.length } }
  }

export const divideTwin =
  (matches: (packet: Uint8Array) => boolean): StageTwin =>
  (packets) => ({
    outputs: [packets.filter((packet) => !matches(packet)), packets.filter(matches)],
    drops: {},
  })

export const listenTwin = (
  action: 'drop' | 'count' | 'mirror',
  matches: (packet: Uint8Array) => boolean,
): StageTwin => {
  return (packets) => {
    const matched = packets.filter(matches)
    if (action === 'count') return { outputs: [packets], drops: {} }
    if (action === 'mirror') return { outputs: [packets, matched], drops: { 'not copied': 0 } }
    return { outputs: [packets.filter((packet) => !matched.includes(packet))], drops: { filtered: matched.length } }
  }
}

export const mirrorTwin: StageTwin = (packets) => ({ outputs: [packets, packets], drops: { 'no frame': 0 } })

/** Takes the same packets as the stage does with this seed: xorshift of 32 bits (Marsaglia, 2003). */
export const sampleTwin = (oneIn: number, bytes: number, seed: number): StageTwin => {
  let number = seed
  const isChosen = () => {
    number ^= number << 13
    number ^= number >>> 17
    number ^= number << 5
    return number >>> 0 < 2 ** 32 / oneIn
  }
  return (packets) => ({
    outputs: [packets, packets.filter(isChosen).map((packet) => packet.slice(0, bytes))],
    drops: { 'no frame': 0 },
  })
}
