import type { RoutedNetwork } from './routed-network.js'
import { runIn } from './run-in.js'

/** Packets that the kernel has dropped at a device of the network or for want of room in a socket of the right host. */
export async function lostInKernel({ left, right, router }: RoutedNetwork): Promise<number> {
  let lost = 0
  for (const namespace of [left, right, router]) {
    const { stdout } = await runIn(namespace, ['ip', '-json', '-statistics', 'link'])
    // biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON has no types
    for (const { stats64 } of JSON.parse(stdout) as any[]) lost += stats64.rx.dropped + stats64.tx.dropped
  }
  const { stdout } = await runIn(right, ['grep', '^Udp:', '/proc/self/net/snmp'])
  const [names, values] = stdout.split('\n').map((line) => line.split(' '))
  return lost + Number(values![names!.indexOf('RcvbufErrors')])
}
