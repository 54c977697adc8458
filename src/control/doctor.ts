import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import { type Check, missing, note, ok } from './check.js'
import { examineKernel } from './doctor-kernel.js'

/** Linux 5.18 brought live frames and programs over several buffers. */
const OLDEST_KERNEL = [5, 18] as const

const CAPABILITIES = { netAdmin: 12, sysAdmin: 21, bpf: 39 } as const

/** What this machine offers; tries the kernel on a device of its own, in a namespace of its own. */
export function examineMachine(): Check[] {
  return [
    kernelVersion(),
    ...privileges(),
    ...examineKernel(),
    justInTime(),
    typeInformation(),
    lockedMemory(),
    memoryLimit(),
    tool('tcpdump', 'compares filters and prints packets'),
    tool('iptables', 'is measured beside Sluice in the demo'),
  ]
}

function kernelVersion(): Check {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  const isNewEnough = major > OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor >= OLDEST_KERNEL[1])
  const name = 'kernel'
  return isNewEnough
    ? ok(name, `Linux ${release()}`)
    : missing(name, `Linux ${release()}`, `use Linux ${OLDEST_KERNEL.join('.')} or newer`)
}

function privileges(): Check[] {
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(read('/proc/self/status'))?.[1] ?? '0'}`)
  const has = (capability: number) => ((effective >> BigInt(capability)) & 1n) === 1n
  const root = has(CAPABILITIES.sysAdmin)
  const who = process.getuid?.() === 0 ? 'root' : `user ${process.getuid?.()}`
  const rules = root || (has(CAPABILITIES.bpf) && has(CAPABILITIES.netAdmin))
  return [
    rules
      ? ok('right to load rules', who)
      : missing('right to load rules', who, 'run with sudo, or give CAP_BPF and CAP_NET_ADMIN'),
    root
      ? ok('right to make namespaces', who)
      : note('right to make namespaces', who, 'the demo and the lab need it: run with sudo'),
  ]
}

function justInTime(): Check {
  const setting = read('/proc/sys/net/core/bpf_jit_enable').trim()
  const name = 'just-in-time compiler'
  if (setting === '')
    return note(name, 'not readable here', 'look at net.core.bpf_jit_enable as root, in the first network namespace')
  return setting === '0'
    ? missing(name, 'off: programs are interpreted', 'sysctl -w net.core.bpf_jit_enable=1')
    : ok(name, 'on')
}

function typeInformation(): Check {
  return existsSync('/sys/kernel/btf/vmlinux')
    ? ok('kernel types (BTF)', 'there')
    : note('kernel types (BTF)', 'not there', 'rules work without; tools that inspect them want CONFIG_DEBUG_INFO_BTF')
}

function lockedMemory(): Check {
  const limit = /^Max locked memory\s+(\S+)/m.exec(read('/proc/self/limits'))?.[1] ?? 'unknown'
  const name = 'locked memory'
  if (limit === 'unlimited') return ok(name, limit)
  const mebibytes = `${Math.round(Number(limit) / 2 ** 20)} MiB`
  // Since 5.11 maps are charged to the cgroup; only AF_XDP still counts locked pages.
  return process.getuid?.() === 0
    ? ok(name, `${mebibytes}, which does not bind root`)
    : note(name, mebibytes, 'large packet pools need more: ulimit -l unlimited')
}

function memoryLimit(): Check {
  const group = /^0::(.*)$/m.exec(read('/proc/self/cgroup'))?.[1]
  const name = 'memory limit (cgroup)'
  const limit = group === undefined ? '' : read(join('/sys/fs/cgroup', group, 'memory.max')).trim()
  if (limit === '' || limit === 'max') return ok(name, 'none')
  const mebibytes = Math.round(Number(limit) / 2 ** 20)
  return mebibytes >= 256
    ? ok(name, `${mebibytes} MiB`)
    : note(name, `${mebibytes} MiB`, 'maps are charged to it: large sets need more, raise memory.max')
}

function tool(name: string, use: string): Check {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, name)))
    ? ok(`${name} (optional)`, 'there')
    : note(`${name} (optional)`, 'not there', `${use}; apt-get install ${name}`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
