import {
  assemble,
  call,
  exit,
  helperId,
  load,
  loadMap,
  mov64,
  type Program,
  R1,
  R2,
  R3,
  XDP,
} from '../../src/ebpf/index.js'
import { deleteElement, updateElement } from '../../src/kernel/index.js'
import type { LoadedProgram } from '../../src/loader/index.js'

/** The program's XSKMAP. */
export const SOCKETS = 'sockets'

/** Hands every packet to the AF_XDP socket of its receive queue, and passes it where the queue has none. */
export const REDIRECT_PROGRAM: Program = {
  name: 'to_sockets',
  type: 'xdp',
  license: 'GPL',
  multiBuffer: false,
  maps: [{ name: SOCKETS, kind: 'xskmap', keyBytes: 4, valueBytes: 4, maxEntries: 8 }],
  ...assemble([
    load('u32', R2, R1, 16),
    loadMap(R1, SOCKETS),
    mov64(R3, XDP.pass),
    call(helperId('bpf_redirect_map')),
    exit(),
  ]),
}

/** Lets the program hand the packets of a queue to a socket, or pass them: null. */
export function redirectTo(program: LoadedProgram, queue: number, fd: number | null): void {
  const bytes = (value: number) => new Uint8Array(new Uint32Array([value]).buffer)
  const sockets = program.maps.get(SOCKETS)!.fd
  if (fd === null) deleteElement(sockets, bytes(queue))
  else updateElement(sockets, bytes(queue), bytes(fd))
}
