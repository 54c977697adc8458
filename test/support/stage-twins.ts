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
