import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { isAlive, killIf, OWNER_VARIABLE, type ProcessIdentity, parseOwner } from '../kernel/index.js'

/** A process that was ended because the run it belonged to is gone. */
export interface Leftover {
  readonly pid: number
  readonly command: string
  readonly owner: ProcessIdentity
}

/**
 * Ends the processes of earlier runs whose owner no longer lives, and says
 * which; what they held (namespaces, devices, programs) goes with them. Only
 * processes that carry Sluice's marker are touched, and only of this PID
 * namespace: in another one the owner's number means somebody else.
 */
export function removeLeftovers(): Leftover[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
  return pids.map(Number).flatMap((pid) => {
    const owner = orphanedFrom(pid)
    if (!owner) return []
    const command = readCommand(pid)
    return killIf(pid, () => orphanedFrom(pid) !== undefined) ? [{ pid, command, owner }] : []
  })
}

/** The dead owner of process `pid`; undefined where it has none, or a living one. */
function orphanedFrom(pid: number): ProcessIdentity | undefined {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    const marker = variables.find((variable) => variable.startsWith(`${OWNER_VARIABLE}=`))
    const owner = parseOwner(marker?.slice(OWNER_VARIABLE.length + 1) ?? '')
    if (!owner || isAlive(owner) || !isInOwnPidNamespace(pid)) return undefined
    return owner
  } catch {
    // Ended meanwhile, or another user's.
    return undefined
  }
}

function isInOwnPidNamespace(pid: number): boolean {
  return readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid')
}

function readCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()
  } catch {
    return ''
  }
}
