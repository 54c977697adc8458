import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'

/** What ends a command that stays: Ctrl-C, `kill`, and a terminal that closes, unless `nohup` was to prevent that. */
export function endSignals(): readonly NodeJS.Signals[] {
  return isHangupIgnored() ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP']
}

/** For the start of every command: Node sets what is done about signals back, so that SIGHUP would end it. */
export function heedNohup(): void {
  if (isHangupIgnored()) process.on('SIGHUP', () => {})
}

const SIGHUP_BIT = 1n << 0n

let known: boolean | null = null

/**
 * Whether this process was started with SIGHUP ignored. Node has lost that before any of this runs, so it is told
 * from what `nohup` leaves: its name, which shells put into `_`; standard input in place of a terminal, which GNU's
 * makes one that cannot be read; and, of a script below it, a parent that ignores the signal.
 */
export function isHangupIgnored(): boolean {
  known ??= basename(process.env['_'] ?? '') === 'nohup' || isInputOfNohup() || isIgnoredByParent()
  return known
}

function isInputOfNohup(): boolean {
  const flags = /^flags:\s*(\d+)/m.exec(readProc('self/fdinfo/0'))?.[1]
  const [ACCESS_MODES, WRITE_ONLY] = [3, 1]
  if (flags === undefined || (Number.parseInt(flags, 8) & ACCESS_MODES) !== WRITE_ONLY) return false
  return openAs(0) === '/dev/null'
}

function isIgnoredByParent(): boolean {
  const ignored = /^SigIgn:\s*(\w+)/m.exec(readProc(`${process.ppid}/status`))?.[1] ?? '0'
  return (BigInt(`0x${ignored}`) & SIGHUP_BIT) !== 0n
}

/** The device number of the terminal that controls this process (proc_pid_stat(5), tty_nr); 0 for none, or none any more. */
export function controllingTerminal(): number {
  const afterName = readProc('self/stat').split(') ').at(-1)!
  return Number(afterName.split(' ')[4])
}

/** Whether the descriptor is of a terminal that has been closed at its other end. */
export function isLostTerminal(descriptor: number): boolean {
  // In this order: node:tty is loaded where there is a terminal only.
  return /^\/dev\/(pts\/|tty|console)/.test(openAs(descriptor)) && !isatty(descriptor)
}

/**
 * For the exit of every command: puts /dev/null in the place of a terminal that has gone. Node would set its modes
 * back, which fails, and Node 20 and 22 end by SIGABRT for that (nodejs/node issue 51519).
 */
export function letGoOfTerminal(): void {
  for (const descriptor of [0, 1, 2]) {
    if (!isLostTerminal(descriptor)) continue
    closeSync(descriptor)
    // It gets the lowest number that is free.
    openSync('/dev/null', 'r+')
  }
}

function openAs(descriptor: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return ''
  }
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'latin1')
  } catch {
    return ''
  }
}
