import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Where the public test corpus lies when it is present: beside the checkout. */
export const CORPUS = fileURLToPath(new URL('../../../../shared/corpus/', import.meta.url))

/** Debian's packages whose names are not those of their commands. */
const PACKAGES: Readonly<Record<string, string>> = {
  bird: 'bird2',
  ip: 'iproute2',
  ping: 'iputils-ping',
  kdig: 'knot-dnsutils',
  nft: 'nftables',
}

const CHECKS = {
  root: () => process.getuid?.() === 0 || 'needs root',
  tcpdump: () => hasCommand('tcpdump'),
  iptables: () => hasCommand('iptables'),
  clang: () => hasCommand('clang-14'),
  bird: () => hasCommand('bird'),
  ip: () => hasCommand('ip'),
  curl: () => hasCommand('curl'),
  ping: () => hasCommand('ping'),
  kdig: () => hasCommand('kdig'),
  nft: () => hasCommand('nft'),
  iperf3: () => hasCommand('iperf3'),
  traceroute: () => hasCommand('traceroute'),
  bpftool: () => hasCommand('bpftool'),
  corpus: () => existsSync(CORPUS) || 'needs the test corpus in ../shared/corpus',
} as const

export type Requirement = keyof typeof CHECKS

/**
 * What to give node:test as `skip`: false when everything is there, otherwise
 * the sentence that names what is missing. Where `SLUICE_REQUIRE=all` is set,
 * as in CI, a missing thing throws instead, so that no test is skipped unseen.
 */
export function skipUnless(...needs: Requirement[]): string | false {
  for (const need of needs) {
    const answer = CHECKS[need]()
    if (answer === true) continue
    if (process.env['SLUICE_REQUIRE'] === 'all') throw new Error(`SLUICE_REQUIRE=all, but this test ${answer}`)
    return answer
  }
  return false
}

function hasCommand(name: string): true | string {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' })
    return true
  } catch {
    return `needs ${name} (Debian: apt-get install ${PACKAGES[name] ?? name})`
  }
}
