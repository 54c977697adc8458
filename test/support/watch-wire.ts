import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCapture } from '../../src/device/index.js'
import { type NetworkNamespace, withNamespace } from '../../src/kernel/index.js'

/** tcpdump at a device. */
export interface WireWatch {
  /** The frames it has seen, as hexadecimal text, once there are `count` of them; throws after five seconds without. */
  frames(count: number): Promise<string[]>
}

/** Starts tcpdump, which ends after `most` frames that match, and comes back when it listens. */
export async function watchWire(
  end: { readonly namespace: NetworkNamespace; readonly name: string },
  most: number,
  ...filter: readonly string[]
): Promise<WireWatch> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-wire-'))
  const file = join(folder, 'seen.pcap')
  const options = [
    '-i',
    end.name,
    '-n',
    '-U',
    '--immediate-mode',
    '-s',
    '2048',
    '-B',
    '4096',
    '-Z',
    'root',
    '-c',
    `${most}`,
  ]
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  const start = () => spawn('tcpdump', [...options, '-w', file, ...filter], { stdio: [...stdio] })
  const child = withNamespace(end.namespace, start)
  let said = ''
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (text) => {
      said += text
      if (said.includes('listening on')) resolve()
    })
    child.once('close', () => reject(new Error(`tcpdump ended: ${said}`)))
  })
  return {
    async frames(count) {
      const patience = setTimeout(() => child.kill('SIGINT'), 5000)
      await ended
      clearTimeout(patience)
      const seen = [...openCapture(file).packets()].map(({ data }) => Buffer.from(data).toString('hex'))
      rmSync(folder, { recursive: true })
      if (seen.length !== count) throw new Error(`tcpdump saw ${seen.length} frames, not ${count}: ${said}`)
      return seen
    },
  }
}
