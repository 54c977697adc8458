import { spawnSync } from 'node:child_process'
import { formatAddress } from '../../src/control/traffic-range.js'
import { type NetworkNamespace, withNamespace } from '../../src/kernel/index.js'

/** Runs lines of `ip` in a namespace; what cannot be done it says, and goes on. */
export function ip(namespace: NetworkNamespace, ...lines: readonly string[]): void {
  withNamespace(namespace, () => spawnSync('ip', ['-force', '-batch', '-'], { input: lines.join('\n') }))
}

/** What `ip route get` says of each: the device, or the kind of route, which an error's text tells. */
export function routeGet(namespace: NetworkNamespace, addresses: readonly Uint8Array[]): string[] {
  const input = addresses.map((address) => `route get ${formatAddress(address)}`).join('\n')
  const { stdout, stderr } = withNamespace(namespace, () =>
    spawnSync('ip', ['-force', '-oneline', '-batch', '-'], { input, encoding: 'utf8' }),
  )
  const failures = new Map<number, string>()
  for (const [, text, line] of stderr.matchAll(/RTNETLINK answers: (.*)\nCommand failed -:(\d+)/g)) {
    failures.set(Number(line) - 1, ERRORS[text!] ?? text!)
  }
  const lines = stdout.split('\n')
  return addresses.map((_, index) => failures.get(index) ?? / dev (\S+)/.exec(lines.shift()!)![1]!)
}

const ERRORS: Readonly<Record<string, string>> = {
  'Network is unreachable': 'none',
  'Invalid argument': 'blackhole',
  'Permission denied': 'prohibit',
  'No route to host': 'unreachable',
}
