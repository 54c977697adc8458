import type { Packet } from '../src/ir/index.js'
import { type CProgram, findCompilers, startC } from './c-program.js'

/** libpcap's filter in a C program of its own, over the packets that it was started with. */
export interface Libpcap {
  /** Why libpcap refuses the expression, or null where it is compiled now. */
  compile(expression: string): Promise<string | null>
  /** Filters all packets so often. */
  run(times: number): Promise<{ readonly nanosecondsPerPacket: number; readonly matches: number }>
  close(): void
}

/** Builds bench/c/libpcap-loop.c and starts it; or a sentence that says what is missing for that. */
export function startLibpcap(packets: readonly Packet[]): Libpcap | string {
  const [compiler] = findCompilers(['cc', 'clang', 'gcc'])
  if (compiler === undefined) return 'there is no C compiler on this machine (Debian: apt-get install gcc)'
  const program = startC({ source: 'libpcap-loop.c', compiler, flags: ['-lpcap'], input: packetsInMemory(packets) })
  if (program === null)
    return 'libpcap-loop.c cannot be built; install libpcap for developers (Debian: apt-get install libpcap-dev)'
  return talkTo(program, packets.length)
}

function talkTo({ ask, close }: CProgram, packets: number): Libpcap {
  return {
    async compile(expression) {
      const answer = await ask(`f ${expression}`)
      return answer === 'ok' ? null : answer.slice('no '.length)
    },
    async run(times) {
      const [nanoseconds, matches] = (await ask(`r ${times}`)).split(' ').map(Number)
      return { nanosecondsPerPacket: nanoseconds! / times / packets, matches: matches! }
    },
    close,
  }
}

/** What libpcap-loop.c reads first. */
function packetsInMemory(packets: readonly Packet[]): Buffer {
  const lengths = packets.flatMap(({ bytes, wireLength }) => [bytes.length, wireLength])
  const head = Uint32Array.from([packets.length, ...lengths])
  return Buffer.concat([new Uint8Array(head.buffer), ...packets.map(({ bytes }) => bytes)])
}
