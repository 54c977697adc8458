import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { bundleOf } from './bundles.js'

/**
 * The command `sluice` as it is installed: runs a bundle that scripts/bundle.mjs has made, by the code that V8 has
 * compiled of it before, where that lies in `code/` beside it (docs/decisions/0023-code-cache.md).
 */

/** A bundle is one function of these, so that it can be compiled by itself. */
type Bundle = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  folder: string,
  load: (name: string) => object,
) => void

const FOLDER = import.meta.dirname
const CODE = join(FOLDER, 'code')
const require = createRequire(import.meta.filename)
/** The off side of measurements. */
const isOff = process.env['SLUICE_CODE_CACHE'] === 'off'

const loaded = new Map<string, object>()

/** Runs a bundle once and returns its exports; those that commands may need lie beside theirs. */
function load(name: string): object {
  const before = loaded.get(name)
  if (before !== undefined) return before
  const file = join(FOLDER, `${name}.cjs`)
  // All of it is ASCII, which latin1 makes a string of in a copy.
  const source = readFileSync(file, 'latin1')
  const code = join(CODE, codeName(name, source))
  const cachedData = isOff ? undefined : readCode(code)
  // What is of another V8, or of other flags, is refused by V8, which then compiles the source as ever.
  const script = new Script(source, { filename: file, ...(cachedData && { cachedData }) })
  if (cachedData === undefined && !isOff) process.on('exit', () => writeCode(name, file, source, code))
  const module = { exports: {} }
  loaded.set(name, module.exports)
  ;(script.runInThisContext() as Bundle)(module.exports, require, module, file, FOLDER, load)
  loaded.set(name, module.exports)
  return module.exports
}

/** V8 does not look at the source beyond its length, so the name says which it is: the bundle begins with its hash. */
function codeName(name: string, source: string): string {
  const hash = /^\/\* (\w+) \*\//.exec(source)?.[1]
  return `${name}-${hash}-node-${process.version}-${process.arch}`
}

/** Of the CRC-32 at the end of a file of code, little-endian. */
const CHECK_BYTES = 4

/**
 * Code as it was written, or nothing. V8 does not look whether what it reads is whole: one bit that has changed may end
 * the process, or do anything else. That takes 3 ms of a start, of which 2 are
 * node:zlib's own.
 */
function readCode(path: string): Buffer | undefined {
  try {
    const file = readFileSync(path)
    const code = file.subarray(0, -CHECK_BYTES)
    return file.readUInt32LE(code.length) === checkOf(code) ? code : undefined
  } catch {
    return undefined
  }
}

function checkOf(code: Buffer): number {
  return (require('node:zlib') as typeof import('node:zlib')).crc32(code)
}

function withCheck(code: Buffer): Buffer {
  const check = Buffer.alloc(CHECK_BYTES)
  check.writeUInt32LE(checkOf(code))
  return Buffer.concat([code, check])
}

/**
 * Leaves what V8 compiles of a bundle, all of its functions, for the next command. Only where the folder is this
 * user's own: root would leave files there that its owner cannot remove. Nobody has asked for it, so a folder that
 * cannot be written to, or that has gone, is no fault.
 */
function writeCode(name: string, file: string, source: string, path: string): void {
  try {
    if (statSync(FOLDER).uid !== process.geteuid?.()) return
    const code = withCheck(compileWhole(file, source))
    mkdirSync(CODE, { recursive: true })
    const written = `${path}.${process.pid}`
    const fd = openSync(written, 'wx', 0o644)
    writeFileSync(fd, code)
    // V8 believes what it reads: a name must not outlive a crash that the contents have not.
    fsyncSync(fd)
    closeSync(fd)
    renameSync(written, path)
    removeOlder(name, path)
  } catch {}
}

function compileWhole(filename: string, source: string): Buffer {
  const { setFlagsFromString } = require('node:v8') as typeof import('node:v8')
  setFlagsFromString('--no-lazy')
  try {
    // Another place than the running one's, which V8 would give back, with the functions only that have been called.
    const script = new Script(source, { filename, columnOffset: 1 })
    setFlagsFromString('--lazy')
    return script.createCachedData()
  } finally {
    setFlagsFromString('--lazy')
  }
}

/** What was made of another build of this bundle. */
function removeOlder(name: string, path: string): void {
  const current = path.slice(0, path.indexOf('-node-'))
  for (const entry of readdirSync(CODE)) {
    const old = join(CODE, entry)
    if (entry.startsWith(`${name}-`) && !old.startsWith(current)) rmSync(old)
  }
}

load(bundleOf(process.argv[2]))
