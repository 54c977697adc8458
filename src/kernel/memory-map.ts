import koffi from 'koffi'

/** PROT_* of mmap(2). */
export const PROTECTION = { read: 1, write: 2 } as const

/** MAP_* of mmap(2), the same numbers on x86-64 and arm64. */
export const MAP = { shared: 0x1, private: 0x2, fixed: 0x10, anonymous: 0x20, populate: 0x8000 } as const

/** Bytes of a page of memory on this machine. */
export const pageBytes: () => number = koffi.load(null).func('int getpagesize()')
