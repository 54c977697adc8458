import {
  assemble,
  call,
  exit,
  helperId,
  jump,
  label,
  loadMap,
  type MapSpec,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R6,
  XDP,
} from '../ebpf/index.js'
import { byFlow, flowMaps } from './flow-path.js'
import { BEHIND, COUNT_NAMES, MOST_DEVICE } from './formats.js'
import { COUNTS_MAP, countPacket, type ForwardPort, MOST_PORTS, PORTS_MAP } from './forward-program.js'
import { checkV4, checkV6, parseEthernet, toKernel } from './parse.js'

const BEHIND_MAP: MapSpec = {
  name: BEHIND,
  kind: 'program-array',
  keyBytes: 4,
  valueBytes: 4,
  maxEntries: MOST_PORTS,
}

/**
 * A flow table in front of the program of entry `place` of the program array:
 * what is no flow's, or not plain enough, goes on there as it came, by a tail
 * call, and passes where there is none. Both accept frames of several buffers,
 * as the kernel wants it of programs that call each other. Throws RangeError
 * for a device of 2^24 or more.
 */
export function frontProgram(
  { index, mac }: Omit<ForwardPort, 'reversePath'>,
  place: number,
  capacity: number,
): Program {
  if (index >= MOST_DEVICE)
    throw new RangeError(`device ${index} does not fit into a flow's key; its index has to be below ${MOST_DEVICE}`)
  const items = [
    ...parseEthernet(mac),
    ...checkV4(),
    ...byFlow(4, index),
    jump('behind'),
    label('IPv6'),
    ...checkV6(),
    ...byFlow(6, index),
  ]
  const targets = new Set(items.map((item) => ('target' in item ? item.target : undefined)))
  return {
    name: 'sluice_flows',
    type: 'xdp',
    license: 'GPL',
    multiBuffer: true,
    maps: [PORTS_MAP, COUNTS_MAP, BEHIND_MAP, ...flowMaps({ capacity })],
    ...assemble([
      ...items,
      ...COUNT_NAMES.filter((name) => targets.has(toKernel(name))).map((name) => label(toKernel(name))),
      label('behind'),
      mov64(R1, R6),
      loadMap(R2, BEHIND),
      mov64(R3, place),
      call(helperId('bpf_tail_call')),
      mov64(R0, XDP.pass),
      exit(),
      // R9 is the word that counts the packet.
      label('redirected'),
      ...countPacket(),
      mov64(R0, XDP.redirect),
      exit(),
    ]),
  }
}
