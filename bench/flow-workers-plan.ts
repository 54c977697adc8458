import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { draw, type Line, planWorkers, receive, send, type WorkerHost } from '../src/engine/index.js'
import { arrived, openFlows, owner, remember, track } from '../src/flow/index.js'
import { forward, type RoutesPlace } from '../src/route/index.js'
import { discard } from '../src/stages/index.js'
import { addWords, foldChecksum, IPV4, write16 } from '../src/wire/index.js'
import { judgedWork, WORK_RULE } from './judged-work.js'
import { openTapeSource } from './tape-source.js'

/**
 * Who forwards: the first worker; both, each the flows that come to it, as a
 * card would have it that gives both directions to one queue; both, each a half
 * of the packets of all flows, and what is the other's is handed over.
 */
export type Way = 'nobody' | 'one' | 'at home' | 'handed over'

export interface FlowWorkersSettings {
  readonly way: Way
  readonly tables: RoutesPlace
  /** How often each packet is judged by a rule, as work beside. */
  readonly judgements: number
}

export const FLOWS = 2048
const NETWORK = 14

/** Of each flow the packet of one side, which comes by that port: clients are 10.0.0.0/8, servers 203.0.113.0/24. */
function packetsOf(inPort: number, takes: (flow: number) => boolean): Uint8Array[] {
  const flows = Array.from({ length: FLOWS }, (_, flow) => flow).filter(takes)
  return flows.map((flow) => {
    const frame = new Uint8Array(60)
    frame.set([2, 0, 0, 0, 0, inPort + 1, 2, 0, 0, 0, 1, inPort + 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17])
    const [client, server] = [
      [10, 0, flow & 255, 1],
      [203, 0, 113, 9],
    ]
    const ports = [4 + (flow >> 8), flow & 255, 0, 53]
    frame.set(inPort === 0 ? [...client!, ...server!] : [...server!, ...client!], NETWORK + IPV4.source)
    frame.set(inPort === 0 ? ports : [ports[2]!, ports[3]!, ports[0]!, ports[1]!], NETWORK + IPV4.headerBytes)
    frame.set([0, 26], NETWORK + IPV4.headerBytes + 4)
    write16(frame, NETWORK + IPV4.checksum, foldChecksum(addWords(0, frame, NETWORK, NETWORK + IPV4.headerBytes)))
    return frame
  })
}

export const flowWorkersPlan = planWorkers<FlowWorkersSettings>(
  import.meta.url,
  Object.fromEntries(
    [0, 1].map((number) => [
      `worker ${number}`,
      { to: [`worker ${1 - number}`], graph: (host, settings) => drawWorker(number, host, settings) },
    ]),
  ),
)

function drawWorker(number: number, host: WorkerHost, settings: FlowWorkersSettings) {
  const { way } = settings
  // What has been made stays, and with it the code that V8 has optimized.
  const ways = (['one', 'at home', 'handed over'] as const).map(
    (each) => [each, linesOf(number, host, settings, each)] as const,
  )
  if (way === 'nobody' || (way === 'one' && number === 1)) return draw()
  return draw(...ways.find(([each]) => each === way)![1])
}

function linesOf(
  number: number,
  { space, code, pool, keep, from, to }: WorkerHost,
  { tables, judgements }: FlowWorkersSettings,
  way: Exclude<Way, 'nobody'>,
): Line[] {
  const isHanded = way === 'handed over'
  const flows = keep(`flows ${way}`, () => {
    const of = isHanded ? { number, count: 2 } : { number: 0, count: 1 }
    return openFlows(space, code, way, { flows: FLOWS, owner: of, fragments: { datagrams: 0 } })
  })
  const matcher = keep('matcher', () => placeMatcher(space, 'work', compileFilter(WORK_RULE).optimized))
  const done = judgedWork('done', judgements, matcher.judge)
  const odd = discard('odd')
  const peer = `worker ${1 - number}`
  const [outgoing, incoming, handed] = [to(peer), from(peer), arrived('arrived', 2)]
  // A half each, or all.
  const takes = (flow: number) => way !== 'at home' || flow % 2 === number
  const lines = [0, 1].flatMap((inPort): Line[] => {
    const source = keep(`source ${way} ${inPort}`, () =>
      openTapeSource(space, pool, `${way} ${inPort}`, packetsOf(inPort, takes)),
    )
    const tracked = track(`track ${inPort}`, flows, { routes: tables, inPort })
    const routed = forward(`route ${inPort}`, tables, { inPort })
    const whose = owner(`owner ${inPort}`, flows, { inPort })
    return [
      [receive(source), ...(isHanded ? [whose] : []), tracked, routed],
      ...(isHanded
        ? [
            [`${whose.name}.worker ${1 - number}`, send(outgoing)] as const,
            [`arrived.port ${inPort}`, tracked] as const,
          ]
        : []),
      [`${tracked.name}.new`, routed],
      ...[0, 1].flatMap((port): Line[] => [
        [`${tracked.name}.cached ${port}`, done],
        [`${routed.name}.port ${port}`, remember(`remember ${inPort} ${port}`, flows, { inPort, port }), done],
      ]),
      ...['related', 'invalid', 'untracked'].map((output): Line => [`${tracked.name}.${output}`, odd]),
      ...['local', 'unresolved', 'errors'].map((output): Line => [`${routed.name}.${output}`, odd]),
    ]
  })
  return [...lines, ...(isHanded ? [[receive(incoming), handed] as const] : [])]
}
