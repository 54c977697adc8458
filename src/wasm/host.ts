/**
 * The part of the WebAssembly JavaScript interface that is used here. Its types
 * stand with those of browsers, which a program for Node does not load.
 */
interface Host {
  readonly Memory: new (limits: { initial: number; maximum?: number; shared?: boolean }) => LinearMemory
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (module: object, imports: Imports) => { readonly exports: Record<string, unknown> }
  validate(bytes: Uint8Array<ArrayBuffer>): boolean
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: Host }

/** What a module is given, by module and field name. */
export type Imports = Readonly<Record<string, Readonly<Record<string, LinearMemory | WasmCallable>>>>

/** An exported function; it takes and gives 32-bit numbers, or BigInts for 64 bits. */
// biome-ignore lint/suspicious/noExplicitAny: the module's own type says what it takes, and TypeScript cannot see it.
export type WasmCallable = (...parameters: any[]) => any

/** Memory that modules and JavaScript share. After `grow`, `buffer` is a new one and the old is empty. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer
  /** Adds pages of 64 KiB and gives how many there were; throws RangeError beyond the maximum. */
  grow(pages: number): number
}

export const PAGE_BYTES = 65_536

/** Memory of so many pages, which can grow up to `maximumPages`; shared memory can be given to worker threads. */
export function createMemory(pages: number, maximumPages?: number, shared = false): LinearMemory {
  return new WebAssembly.Memory({
    initial: pages,
    shared,
    ...(maximumPages === undefined ? {} : { maximum: maximumPages }),
  })
}

/** Compiles and starts a module; gives its exported functions. Throws WebAssembly.CompileError or LinkError. */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, imports: Imports): Record<string, WasmCallable> {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports)
  return exports as Record<string, WasmCallable>
}

/** Whether the bytes are a module whose types fit. */
export function isValidModule(bytes: Uint8Array<ArrayBuffer>): boolean {
  return WebAssembly.validate(bytes)
}
