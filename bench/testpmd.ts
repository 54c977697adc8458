import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { getAffinity, setAffinity } from '../src/kernel/index.js'

/** DPDK's testpmd, which forwards between two null devices with mac rewriting in one thread while it is asked to. */
export interface Testpmd {
  /** Nanoseconds a packet over so many milliseconds, by its own counters and clock. */
  measure(milliseconds: number): Promise<number>
  /** The one that forwards, by its id; it may be moved to another core. */
  readonly threads: readonly number[]
  close(): Promise<void>
}

const PROMPT = 'testpmd> '
const PORTS = 2
/** Until its first bursts are through. */
const WARM_UP_MS = 50
const START_MS = 20_000

/** Without huge pages and devices of the machine. */
const OPTIONS = [
  ...['--no-huge', '-m', '512', '--no-pci', '--no-telemetry'],
  ...['--vdev=net_null0', '--vdev=net_null1', '--', '-i', '--forward-mode=mac', '--nb-cores=1'],
  '--total-num-mbufs=8192',
]

/** Starts it, with its words line by line; null where there is none that runs here, or not two cores. */
export async function startTestpmd(): Promise<Testpmd | null> {
  const cores = getAffinity(0).slice(0, 2)
  if (cores.length < 2) return null
  const options = ['-oL', 'dpdk-testpmd', '-l', cores.join(), ...OPTIONS]
  const child = spawn('stdbuf', options, { stdio: ['pipe', 'pipe', 'ignore'] })
  let text = ''
  let hasEnded = false
  let wake = () => {}
  child.stdout.setEncoding('latin1').on('data', (more: string) => {
    text += more
    wake()
  })
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true
      wake()
      resolve()
    }
    child.once('error', end).once('close', end)
  })
  child.stdin.on('error', () => {})

  /** What it says up to the next prompt; null where it ends before. */
  async function answer(): Promise<string | null> {
    const deadline = performance.now() + START_MS
    while (!text.includes(PROMPT) && !hasEnded && performance.now() < deadline) {
      await Promise.race([new Promise<void>((resolve) => (wake = resolve)), sleep(START_MS, undefined, { ref: false })])
    }
    const end = text.indexOf(PROMPT)
    if (end < 0) return null
    const said = text.slice(0, end)
    text = text.slice(end + PROMPT.length)
    return said
  }
  async function ask(command: string): Promise<string> {
    child.stdin.write(`${command}\n`)
    const said = await answer()
    if (said === null) throw new Error(`testpmd ended at "${command}"`)
    return said
  }

  async function close(): Promise<void> {
    child.stdin.end('quit\n')
    await Promise.race([ended, sleep(2000)])
    if (!hasEnded) child.kill('SIGKILL')
    await ended
  }

  if ((await answer()) === null) {
    await close()
    return null
  }
  const threads = threadsOn(cores[1]!, child.pid!)
  return {
    threads,
    async measure(milliseconds) {
      // What asks, and what is asked, must not run where it forwards.
      const before = getAffinity(0)
      const others = cores.filter((core) => !getAffinity(threads[0]!).includes(core))
      for (const thread of [0, child.pid!]) setAffinity(thread, others)
      await ask('start')
      await sleep(WARM_UP_MS)
      await ask('show port stats all')
      await sleep(milliseconds)
      const rates = [...(await ask('show port stats all')).matchAll(/Tx-pps:\s+(\d+)/g)].map(([, rate]) => Number(rate))
      await ask('stop')
      setAffinity(0, before)
      if (rates.length !== PORTS) throw new Error('testpmd did not say how many packets it has sent')
      return 1e9 / rates.reduce((sum, rate) => sum + rate, 0)
    },
    close,
  }
}

/** The threads of a process that keep to one core, by their ids. */
function threadsOn(core: number, pid: number): number[] {
  const ids = readdirSync(`/proc/${pid}/task`).map(Number)
  return ids.filter((id) => getAffinity(id).join() === String(core))
}
