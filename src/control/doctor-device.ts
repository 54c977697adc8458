import { availableParallelism } from 'node:os'
import { KernelError, type Link, readChannels, readDriver, readFeatures, readXdpFeatures } from '../kernel/index.js'
import { detachAdvice } from '../loader/index.js'
import { type Check, missing, note, ok } from './check.js'
import { findDevice } from './device.js'

/** What a device offers to rules. Attaches nothing. Throws DeviceError where there is no such device. */
export function examineDevice(name: string): Check[] {
  const link = findDevice(name)
  return [
    state(link),
    driver(name),
    nativeHook(link),
    attached(link),
    mtu(link),
    queues(name),
    ...offloads(name),
    hardwareFlows(name),
  ]
}

function state(link: Link): Check {
  return link.isUp
    ? ok('state', 'up')
    : note('state', 'down: no packet arrives', `bring it up with "ip link set ${link.name} up"`)
}

function driver(device: string): Check {
  const answer = asked(() => readDriver(device))
  return answer === null
    ? note('driver', 'does not say', 'rules run in generic mode where it has no XDP')
    : ok('driver', `${answer.driver} ${answer.version}`.trim())
}

function nativeHook(link: Link): Check {
  const name = 'rules in the driver'
  const features = asked(() => readXdpFeatures(link.index))
  if (features === null) return note(name, 'the kernel cannot say (before Linux 6.3)', 'try it: sluice drop says so')
  if (!features.native) {
    return note(name, 'no native XDP', 'rules run in generic mode (--generic), at about four times the cost a packet')
  }
  const more = [
    features.redirect && 'redirect',
    features.redirectTarget && 'redirect target',
    features.zeroCopy && 'zero copy',
    features.severalBuffers && 'jumbo',
  ]
  return ok(name, ['native', ...more.filter(Boolean)].join(', '))
}

function attached(link: Link): Check {
  const { mode, programId } = link.xdp
  if (mode === 'none') return ok('XDP program', 'none attached')
  const remedy = `rules cannot be added until it goes: ${detachAdvice(link.name)}`
  return missing('XDP program', `one is attached in ${mode} mode (id ${programId})`, remedy)
}

/** A page less headroom and the kernel's own data: above it a frame takes several buffers. */
const LARGEST_SINGLE_BUFFER_MTU = 3498

function mtu(link: Link): Check {
  if (link.mtuBytes <= LARGEST_SINGLE_BUFFER_MTU) return ok('MTU', `${link.mtuBytes}`)
  const remedy = `where the driver refuses a rule: "ip link set ${link.name} mtu ${LARGEST_SINGLE_BUFFER_MTU}"`
  return note('MTU', `${link.mtuBytes}: frames of several buffers`, remedy)
}

function queues(device: string): Check {
  const channels = asked(() => readChannels(device))
  if (channels === null) return ok('receive queues', 'one, or the driver does not say')
  const used = channels.rx + channels.combined
  const possible = Math.min(channels.maxRx + channels.maxCombined, availableParallelism())
  if (used >= possible) return ok('receive queues', `${used}`)
  const kind = channels.maxCombined > 0 ? 'combined' : 'rx'
  return note(
    'receive queues',
    `${used} of ${possible} that this machine could use`,
    `"ethtool -L ${device} ${kind} ${possible}"`,
  )
}

/** Names as `ethtool -k` shows them and as its netlink form and the kernel know them. */
const OFFLOADS = [
  {
    feature: 'rx-vlan-hw-parse',
    name: 'VLAN tags',
    harmless: 'reach rules',
    found: 'the device takes them off before a rule sees them',
    remedy: (device: string) => `for rules with vlan: "ethtool -K ${device} rxvlan off"`,
  },
  {
    feature: 'rx-lro',
    name: 'large receive offload',
    harmless: 'off',
    found: 'on: drivers refuse native rules with it',
    remedy: (device: string) => `"ethtool -K ${device} lro off"`,
  },
  {
    feature: 'rx-gro-hw',
    name: 'hardware GRO',
    harmless: 'off',
    found: 'on: rules see merged packets, or drivers refuse them',
    remedy: (device: string) => `"ethtool -K ${device} rx-gro-hw off"`,
  },
] as const

function offloads(device: string): Check[] {
  const features = asked(() => readFeatures(device))
  return OFFLOADS.map(({ feature, name, harmless, found, remedy }) =>
    features?.get(feature)?.isOn === true ? note(name, found, remedy(device)) : ok(name, harmless),
  )
}

/** Whether the device itself could forward flows (ethtool's hw-tc-offload), the tier behind the one in the driver. */
function hardwareFlows(device: string): Check {
  const name = 'flows in hardware'
  const feature = asked(() => readFeatures(device))?.get('hw-tc-offload')
  if (feature?.isOn === true) return ok(name, 'offered; sluice forwards flows in the driver')
  if (feature === undefined || feature.isFixed) return ok(name, 'not offered: flows go as far as the driver')
  return ok(name, `offered, and off ("ethtool -K ${device} hw-tc-offload on"); sluice forwards flows in the driver`)
}

/** The answer, or null where the driver has none. */
function asked<T>(question: () => T): T | null {
  try {
    return question()
  } catch (error) {
    if (error instanceof KernelError) return null
    throw error
  }
}
