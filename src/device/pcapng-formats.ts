/** Types of pcapng blocks (draft-ietf-opsawg-pcapng, section 4) that are read or written field by field. */
export const SECTION_HEADER = 0x0a0d0d0a
export const INTERFACE_DESCRIPTION = 1
/** Obsolete, still found in old files. */
export const PACKET = 2
export const SIMPLE_PACKET = 3
export const INTERFACE_STATISTICS = 5
export const ENHANCED_PACKET = 6

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d
/** Type and twice the total length. */
export const BLOCK_OVERHEAD_BYTES = 12

/** Offsets in a block of what is written over: of statistics and packets their interface, u16 in the obsolete packet. */
export const TOTAL_LENGTH = 4
export const BLOCK_INTERFACE = 8
export const SIMPLE_WIRE = 8
export const ENHANCED_CAPTURED = 20
export const ENHANCED_WIRE = 24
