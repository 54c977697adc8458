/**
 * Values of the IEEE 802.2 control field (section 5.4): the supervisory
 * function in bits 2-3, or the unnumbered command without its P/F bit.
 */
export const LLC_SUPERVISORY: ReadonlyMap<string, number> = new Map([
  ['rr', 0x01],
  ['rnr', 0x05],
  ['rej', 0x09],
])

export const LLC_UNNUMBERED: ReadonlyMap<string, number> = new Map([
  ['ui', 0x03],
  ['ua', 0x63],
  ['disc', 0x43],
  ['dm', 0x0f],
  ['sabme', 0x6f],
  ['test', 0xe3],
  ['xid', 0xaf],
  ['frmr', 0x87],
])
