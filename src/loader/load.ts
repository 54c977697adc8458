import { encode, type MapSpec, type Program } from '../ebpf/index.js'
import {
  closeBpf,
  createMap,
  ERRNO,
  KernelError,
  loadProgramCode,
  MAP_TYPES,
  type ProgramInfo,
  programInfo,
  XDP_HAS_FRAGS,
} from '../kernel/index.js'
import { fillMap } from './contents.js'
import { describeLoadFailure, LoadError } from './errors.js'

const SLOT_BYTES = 8

/** A map in the kernel; it lives until `LoadedProgram.close`. */
export interface LoadedMap {
  readonly spec: MapSpec
  readonly fd: number
}

/** A program in the kernel with its maps. `close` is idempotent and gives everything back. */
export interface LoadedProgram {
  readonly program: Program
  readonly fd: number
  readonly maps: ReadonlyMap<string, LoadedMap>
  readonly info: ProgramInfo
  close(): void
}

/**
 * Makes the maps of `program`, has the verifier check it and keeps both.
 * Maps given in `existing` (by name) are used instead of new ones and are not
 * closed with the program. Throws LoadError; nothing stays behind then.
 */
export function loadProgram(program: Program, existing: ReadonlyMap<string, LoadedMap> = new Map()): LoadedProgram {
  const maps = new Map<string, LoadedMap>()
  const release = () => {
    for (const [name, map] of maps) if (!existing.has(name)) closeBpf(map.fd)
    maps.clear()
  }
  try {
    for (const spec of program.maps) maps.set(spec.name, existing.get(spec.name) ?? makeMap(spec))
    const fd = loadCode(program, linkMaps(program, maps))
    let open = true
    return {
      program,
      fd,
      maps,
      info: infoOf(fd),
      close() {
        if (!open) return
        open = false
        closeBpf(fd)
        release()
      },
    }
  } catch (error) {
    release()
    throw error
  }
}

/** Closes the program where the kernel says nothing about it: nobody else has its descriptor yet. */
function infoOf(fd: number): ProgramInfo {
  try {
    return programInfo(fd)
  } catch (error) {
    closeBpf(fd)
    throw error
  }
}

/** A new map that holds what its spec says. Throws LoadError. */
export function makeMap(spec: MapSpec): LoadedMap {
  let fd = -1
  try {
    fd = createMap({ ...spec, type: MAP_TYPES[spec.kind], flags: spec.flags ?? 0 })
    fillMap(fd, spec)
    return { spec, fd }
  } catch (error) {
    if (fd >= 0) closeBpf(fd)
    if (!(error instanceof KernelError)) throw error
    throw describeLoadFailure(spec.name, error.errno, '')
  }
}

/** The program's bytes with the descriptor of each map where its name stood. */
export function linkMaps(program: Program, maps: ReadonlyMap<string, LoadedMap>): Uint8Array {
  const code = encode(program.instructions)
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength)
  for (const { slot, map } of program.relocations) {
    const loaded = maps.get(map)
    if (loaded === undefined) throw new LoadError(`the program ${program.name} names no map ${map}`, ERRNO.EINVAL)
    view.setInt32(slot * SLOT_BYTES + 4, loaded.fd, true)
  }
  return code
}

/** Loads without a log, which is fast; only a refused program is read again with one. */
function loadCode(program: Program, code: Uint8Array): number {
  const request = {
    name: program.name,
    type: program.type,
    code,
    license: program.license,
    flags: program.multiBuffer ? XDP_HAS_FRAGS : 0,
  }
  const first = loadProgramCode({ ...request, logLevel: 0 })
  if (first.fd !== null) return first.fd
  const second = loadProgramCode({ ...request, logLevel: 1 })
  if (second.fd !== null) return second.fd
  throw describeLoadFailure(program.name, second.errno, second.log)
}
