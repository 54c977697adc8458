import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import type { ListedRule, RuleList } from '../../src/control/service/protocol.js'
import { type CliResult, runCli } from './cli.js'
import { type JoinedNamespaces, joinNamespaces, sendDatagrams } from './joined-namespaces.js'
import { endChildren, startProtecting } from './protecting.js'
import { RUN_DIRECTORY } from './run-directory.js'

export const PORT = 9999
export const DATAGRAMS = 100

/** Counts all UDP, drops what comes from @blocked, and keeps the others to 50 packets at once. */
export const POLICY = `
sets:
  blocked: [203.0.113.0/24]
  other: ['2001:db8::/32', 192.0.2.1]
rules:
  - { name: seen, action: count, match: udp }
  - { name: blocked, action: drop, match: src net @blocked and udp }
  - { name: rest, action: limit, match: udp dst port ${PORT}, per: source, rate: 1 pps, burst: 50 }
`

/** For tests of a policy at device `far` that is asked and changed: a network for each file, and the commands. Needs root. */
export function openServed(skip: string | false) {
  let network: JoinedNamespaces
  let folder = ''

  before(() => {
    if (skip) return
    network = joinNamespaces()
    folder = mkdtempSync(join(RUN_DIRECTORY, 'policies-'))
  })
  afterEach(endChildren)
  after(() => {
    network?.close()
    if (folder !== '') rmSync(folder, { recursive: true })
  })

  /** Writes the policy's file, and gives its path. */
  function write(text = POLICY): string {
    const path = join(folder, 'policy.yaml')
    writeFileSync(path, text)
    return path
  }
  const list = (): RuleList => JSON.parse(run('list', '--json'))
  return {
    network: () => network,
    folder: () => folder,
    write,
    list,
    rule: (name: string): ListedRule => list().rules.find((each) => each.name === name)!,
    /** UDP to PORT, through the policy. */
    send: (count = DATAGRAMS) => sendDatagrams(network, count, PORT),
    /** Names of the files that services have in the directory of their sockets. */
    sockets: () => readdirSync(RUN_DIRECTORY).filter((name) => !name.startsWith('policies-')),
    serve: (args: readonly string[] = [], policy = write()) => startProtecting(network.receiver, 'far', policy, args),
  }
}

/** Runs `sluice ARGS`, which succeeds, and gives what it prints. */
export function run(...args: string[]): string {
  const { status, stdout, stderr } = runCli(args)
  assert.equal(status, 0, stderr)
  return stdout
}

/** Runs `sluice ARGS`, which says in one sentence why it does not. */
export function refused(...args: string[]): CliResult {
  const result = runCli(args)
  assert.equal(result.stdout, '')
  assert.match(result.stderr, /^sluice: [^\n]+\n( {2}[^\n]*\n)*$/, 'one sentence, perhaps with a place')
  return result
}
