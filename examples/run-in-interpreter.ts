/** A program written with the constructors and run on two frames, without the kernel. Needs no rights. */
import { alu64, assemble, exit, jumpIf, jumpIf32, label, load, mov32, R0, R1, R2, R3, R4, runXdp } from 'sluice/ebpf'

const XDP_DROP = 1
const XDP_PASS = 2

/** Drops IPv6. The EtherType stands in network order, so a little-endian host reads 0x86dd as 0xdd86. */
const program = {
  ...assemble([
    load('u32', R2, R1, 0), // struct xdp_md: data
    load('u32', R3, R1, 4), // data_end
    mov32(R0, XDP_PASS),
    alu64('add', R2, 14),
    jumpIf(R2, '>', R3, 'out'),
    load('u16', R4, R2, -2),
    jumpIf32(R4, '!=', 0xdd86, 'out'),
    mov32(R0, XDP_DROP),
    label('out'),
    exit(),
  ]),
  maps: [],
}

for (const [name, type] of Object.entries({ IPv4: 0x0800, IPv6: 0x86dd })) {
  const frame = Buffer.alloc(60)
  frame.writeUInt16BE(type, 12)
  const outcome = runXdp(program, frame)
  if (outcome.kind === 'fault') console.log(`${name}: ${outcome.reason}`)
  else console.log(`${name}: ${outcome.value === XDP_DROP ? 'dropped' : 'passed'} after ${outcome.steps} instructions`)
}
