import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CapturedPacket, CaptureError, openCapture } from '../../src/device/index.js'
import { type NetworkNamespace, withNamespace } from '../../src/kernel/index.js'
import { eventually } from './eventually.js'

/** tcpdump at a device. */
export interface WireWatch {
  /** The frames it has seen, as hexadecimal text, once there are `count` of them; throws where they do not come. */
  frames(count: number): Promise<string[]>
  /** Ends it and gives all that it has seen; throws where the kernel had to leave some out. */
  stop(): Promise<CapturedPacket[]>
}

/** Starts tcpdump with a filter, and comes back when it listens. */
export async function watchWire(
  end: { readonly namespace: NetworkNamespace; readonly name: string },
  ...filter: readonly string[]
): Promise<WireWatch> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-wire-'))
  const file = join(folder, 'seen.pcap')
  const options = ['-i', end.name, '-n', '-U', '--immediate-mode', '-s', '2048', '-B', '16384', '-Z', 'root']
  const start = () => spawn('tcpdump', [...options, '-w', file, ...filter], { stdio: ['ignore', 'ignore', 'pipe'] })
  const child = withNamespace(end.namespace, start)
  let said = ''
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (text) => {
      said += text
      if (said.includes('listening on')) resolve()
    })
    child.once('close', () => reject(new Error(`tcpdump ended: ${said}`)))
  })
  const seen = () => [...openCapture(file).packets()].map(({ data }) => Buffer.from(data).toString('hex'))
  /** At its end tcpdump does not read what it has not read yet: it is asked how many it has, and how many the kernel has given it. */
  const hasRead = () =>
    eventually(`tcpdump at ${end.name} has read all: ${said}`, async () => {
      const before = said.length
      child.kill('SIGUSR1')
      const counts = /(\d+) packets? captured, (\d+) packets? received by filter/
      await eventually('tcpdump answers', () => counts.test(said.slice(before)))
      const [, captured, received] = counts.exec(said.slice(before))!
      return captured === received
    })
  const stop = async () => {
    child.kill('SIGINT')
    await ended
  }
  return {
    async stop() {
      await hasRead()
      await stop()
      const packets = [...openCapture(file).packets()]
      rmSync(folder, { recursive: true })
      if (!said.includes('\n0 packets dropped by kernel')) throw new Error(`tcpdump has not seen all: ${said}`)
      return packets
    },
    async frames(count) {
      try {
        await eventually(`tcpdump at ${end.name} has seen ${count} frames`, () => countFrames(seen) >= count)
      } finally {
        await stop()
      }
      const frames = seen()
      rmSync(folder, { recursive: true })
      if (frames.length !== count) throw new Error(`tcpdump saw ${frames.length} frames, not ${count}: ${said}`)
      return frames
    },
  }
}

/** 0 while tcpdump is in the middle of writing one. */
function countFrames(seen: () => string[]): number {
  try {
    return seen().length
  } catch (error) {
    if (error instanceof CaptureError) return 0
    throw error
  }
}
