import { cpus, release, totalmem } from 'node:os'

/** What figures were measured on: they mean little without it. */
export interface Machine {
  readonly kernel: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly node: string
}

/** Describes the machine this process runs on. */
export function describeMachine(): Machine {
  const cores = cpus()
  return {
    kernel: `Linux ${release()}`,
    cpu: cores[0]?.model.trim() ?? process.arch,
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  }
}
