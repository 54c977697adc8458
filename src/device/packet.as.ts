import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../memory/formats'
import { PACKET_RING_AT, PACKET_RING_BLOCK_BYTES, PACKET_RING_BLOCKS } from './packet-formats'
import { appendArrived, flagsOf, HEADER_BYTES } from './virtio.inline.as'

/** Further words of the ring's state: the block that is read, the packet there, and how many are left in it. */
const RING_BLOCK: usize = 12
const RING_PACKET: usize = 16
const RING_LEFT: usize = 20

/** struct tpacket_block_desc and struct tpacket3_hdr, linux/if_packet.h. */
const BLOCK_STATUS: usize = 8
const BLOCK_PACKETS: usize = 12
const BLOCK_FIRST: usize = 16
const PACKET_NEXT: usize = 0
const PACKET_CAPTURED: usize = 12
const PACKET_LENGTH: usize = 16
const PACKET_STATUS: usize = 20
const PACKET_FRAME: usize = 24
const PACKET_VLAN: usize = 32
const PACKET_VLAN_TYPE: usize = 36
const STATUS_OURS: u32 = 1
const STATUS_VLAN: u32 = 0x10
const STATUS_VLAN_TYPE: u32 = 0x40

const VLAN_BYTES: u32 = 4
const VLAN_TYPE: u32 = 0x8100
const ADDRESSES_BYTES: u32 = 12

/** Packets that can be read without going on to another block; goes on where this one is through. */
export function packetReady(ring: u32): u32 {
  const left = load<u32>(ring, RING_LEFT)
  if (left > 0) return left
  const block = blockAt(ring)
  if ((atomic.load<u32>(block, BLOCK_STATUS) & STATUS_OURS) === 0) return 0
  const packets = load<u32>(block, BLOCK_PACKETS)
  store<u32>(ring, block + load<u32>(block, BLOCK_FIRST), RING_PACKET)
  store<u32>(ring, packets, RING_LEFT)
  if (packets === 0) giveBlock(ring)
  return packets
}

/**
 * Copies up to `most` packets into frames of `frameBytes` from the stock and
 * appends them to the bundle, as long as there are both; gives how many went
 * from the ring. What no frame holds is counted at `tooLong`.
 */
export function packetReceive(
  ring: u32,
  stock: u32,
  frameBytes: u32,
  bundle: u32,
  most: u32,
  traffic: u32,
  tooLong: u32,
): u32 {
  let frames = load<u32>(stock, BUNDLE_COUNT)
  let done: u32 = 0
  while (done < most && frames > 0 && packetReady(ring) > 0) {
    const descriptor = stock + BUNDLE_DESCRIPTORS + (frames - 1) * DESCRIPTOR_BYTES
    const frame = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
    const room = (frame | (frameBytes - 1)) + 1 - frame
    const from = load<u32>(ring, RING_PACKET)
    if (copyPacket(from, frame, room, bundle, traffic)) frames--
    else store<f64>(tooLong, load<f64>(tooLong) + 1)
    done++
    step(ring, from)
  }
  store<u32>(stock, frames, BUNDLE_COUNT)
  return done
}

/** One packet into a frame, with the VLAN tag that the kernel has taken out; false where there is no room. */
function copyPacket(from: u32, frame: u32, room: u32, bundle: u32, traffic: u32): bool {
  const source = from + load<u16>(from, PACKET_FRAME)
  const captured = load<u32>(from, PACKET_CAPTURED)
  const status = load<u32>(from, PACKET_STATUS)
  const added: u32 = (status & STATUS_VLAN) !== 0 && captured >= ADDRESSES_BYTES ? VLAN_BYTES : 0
  if (captured + added > room) return false
  if (added > 0) {
    const type = status & STATUS_VLAN_TYPE ? <u32>load<u16>(from, PACKET_VLAN_TYPE) : VLAN_TYPE
    memory.copy(frame, source, ADDRESSES_BYTES)
    store<u16>(frame + ADDRESSES_BYTES, bswap<u16>(<u16>type))
    store<u16>(frame + ADDRESSES_BYTES + 2, bswap<u16>(load<u16>(from, PACKET_VLAN)))
    memory.copy(frame + ADDRESSES_BYTES + VLAN_BYTES, source + ADDRESSES_BYTES, captured - ADDRESSES_BYTES)
  } else memory.copy(frame, source, captured)
  const length = captured + added
  const flags = flagsOf(source - HEADER_BYTES, frame, length, added)
  appendArrived(bundle, frame, length, load<u32>(from, PACKET_LENGTH) + added, flags, traffic)
  return true
}

/** Goes on behind the packet at `from`; a block that is through is the kernel's again. */
function step(ring: u32, from: u32): void {
  const left = load<u32>(ring, RING_LEFT) - 1
  store<u32>(ring, left, RING_LEFT)
  store<u32>(ring, from + load<u32>(from, PACKET_NEXT), RING_PACKET)
  if (left === 0) giveBlock(ring)
}

function giveBlock(ring: u32): void {
  atomic.store<u32>(blockAt(ring), 0, BLOCK_STATUS)
  const next = load<u32>(ring, RING_BLOCK) + 1
  store<u32>(ring, next === load<u32>(ring, PACKET_RING_BLOCKS) ? 0 : next, RING_BLOCK)
}

function blockAt(ring: u32): u32 {
  return load<u32>(ring, PACKET_RING_AT) + load<u32>(ring, RING_BLOCK) * load<u32>(ring, PACKET_RING_BLOCK_BYTES)
}
