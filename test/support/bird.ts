import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkNamespace } from '../../src/kernel/index.js'
import { inside } from './joined-namespaces.js'

/** A BIRD process in a namespace. */
export interface Bird {
  /** What it has said so far. */
  said(): string
  close(): void
}

/** Starts BIRD with that configuration, whose files are nobody else's. */
export function startBird(namespace: NetworkNamespace, configuration: string): Bird {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bird-'))
  const file = join(directory, 'bird.conf')
  writeFileSync(file, configuration)
  const [command, ...rest] = inside(namespace)
  const args = ['bird', '-f', '-c', file, '-s', join(directory, 'control'), '-P', join(directory, 'pid')]
  const child = spawn(command!, [...rest, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (said += bytes))
  return {
    said: () => said,
    close() {
      child.kill()
      rmSync(directory, { recursive: true })
    },
  }
}
