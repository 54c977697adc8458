/**
 * Answers ICMP echo requests at a device, in front of the kernel, until Ctrl-C; `sluice top` shows how it
 * goes. Without a device it makes a veth pair, and has ping ask there three times. Needs root.
 *
 *     node answer-ping.js eth0
 */
import { execFile } from 'node:child_process'
import { serveEngine, type TakenPackets, takePackets } from 'sluice'
import { withNamespace } from 'sluice/kernel'
import { answerEcho, ECHO_REQUESTS } from './support/answer-echo.js'
import { makePair } from './support/veth-pair.js'

const take = (device: string) => takePackets(device, ECHO_REQUESTS, answerEcho)

async function serve(taken: TakenPackets): Promise<void> {
  process.once('SIGINT', taken.close)
  const control = await serveEngine(taken)
  console.log(`answering pings; ${taken.notes.join('; ')}`)
  // A device that is removed ends it with one sentence.
  await taken.done.catch((error: Error) => console.error(error.message))
  control.close()
  console.log(taken.statistics())
}

const device = process.argv[2]
if (process.getuid?.() !== 0) {
  console.error('skipped: AF_XDP sockets and programs need root, run it with sudo')
} else if (device !== undefined) {
  await serve(take(device))
} else {
  const { near, far } = makePair()
  const taken = withNamespace(far, () => take('far'))
  withNamespace(near, () =>
    execFile('ping', ['-c', '3', '-i', '0.2', '192.0.2.2'], (_, output) => {
      console.log(output)
      taken.close()
    }),
  )
  await serve(taken)
}
