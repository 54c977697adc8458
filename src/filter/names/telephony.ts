/**
 * Words of ATM (pcap-filter(7), "atm") and SS7 (ITU-T Q.703, Q.704). Words
 * that stand alone, which as a primitive equal 1:
 */
export const TELEPHONY_SIGNALS: ReadonlySet<string> = new Set([
  ...['lane', 'connectmsg', 'metaconnect', 'fisu', 'lssu', 'msu', 'hfisu', 'hlssu', 'hmsu'],
])

/** Fields that take a number, and the largest it can be. */
export const TELEPHONY_FIELDS: ReadonlyMap<string, number> = new Map([
  ['vpi', 0xff],
  ['vci', 0xffff],
  ['sio', 0xff],
  ['opc', 0x3fff],
  ['dpc', 0x3fff],
  ['sls', 0xf],
  ['hsio', 0xff],
  ['hopc', 0x3fff],
  ['hdpc', 0x3fff],
  ['hsls', 0xf],
])

/** Those words and fields that are of ATM; the others are of SS7. */
export const ATM_WORDS: ReadonlySet<string> = new Set(['vpi', 'vci', 'lane', 'connectmsg', 'metaconnect'])

/** Fixed ATM circuits with virtual path 0: the virtual channels they use (ITU-T I.361, Q.2931). */
export const ATM_CIRCUITS: ReadonlyMap<string, readonly number[]> = new Map([
  ['metac', [1]],
  ['bcc', [2]],
  ['oamf4sc', [3]],
  ['oamf4ec', [4]],
  ['sc', [5]],
  ['ilmic', [16]],
  ['oam', [3, 4]],
  ['oamf4', [3, 4]],
])
