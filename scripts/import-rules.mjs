/**
 * Who may import whom (ARCHITECTURE.md). A room is a folder or a file directly
 * under src/; the table names what each room may import beside itself. Tests
 * that stand beside the code are free to bring oracles from other rooms.
 *
 *     node scripts/import-rules.mjs [FOLDER]
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const ANY = '*'

const MAY_IMPORT = {
  wire: [],
  ebpf: [],
  wasm: [],
  kernel: [],
  filter: [],
  memory: ['wasm'],
  policy: ['filter'],
  ir: ['filter', 'policy', 'wire'],
  codegen: ['ir', 'policy', 'ebpf', 'wasm', 'memory'],
  compile: ['filter', 'policy', 'ir', 'codegen', 'ebpf'],
  'compile-policy': ['filter', 'policy', 'ir'],
  loader: ['policy', 'ebpf', 'kernel'],
  engine: ['memory', 'wasm', 'kernel'],
  device: ['engine', 'memory', 'kernel', 'wire'],
  route: ['engine', 'memory', 'wire'],
  stages: ['engine', 'memory', 'wire'],
  transmit: ['engine', 'memory', 'wire'],
  flow: ['engine', 'memory', 'wire', 'route'],
  offload: ['ebpf', 'loader', 'kernel', 'wire', 'flow'],
  generate: ['engine', 'memory', 'wire'],
  control: ANY,
  lab: ANY,
  cli: ['control', 'lab', 'compile', 'policy'],
  index: ANY,
}

/** The one room that may hold raw pointers. */
const FOREIGN_FUNCTIONS = { package: 'koffi', room: 'kernel' }

const QUOTED = /(?:\b(?:from|import|require)\s*\(?|\bcreateRequire\([^)]*\)\s*\()\s*['"]([^'"]+)['"]/g
/** A call whose target is no quoted text: a template, or computed. */
const CALLED = /(?<![\w.])(?:import|require)\(\s*([^'"\s)][^)]*)/g

/** The package's own name: `sluice/kernel` is a room as well as a path to it is. */
const OWN_NAME = 'sluice'

/** Each forbidden import under `source`, as a line that names file, line and rule. */
export function importFaults(source) {
  const faults = []
  for (const file of sourceFiles(source)) {
    const room = roomOf(source, file)
    const text = readFileSync(file, 'utf8')
    for (const { target, index } of importsOf(text)) {
      const fault = faultOf(source, file, room, target)
      if (fault === null) continue
      const line = text.slice(0, index).split('\n').length
      faults.push(`${file}:${line}: ${fault}`)
    }
  }
  return faults
}

/** Each import of a file; `target` is null where it is computed. */
function importsOf(text) {
  const quoted = [...text.matchAll(QUOTED)].map(({ 1: target, index }) => ({ target, index }))
  const called = [...text.matchAll(CALLED)].map(({ 1: written, index }) => ({
    target: /^`([^`$]*)`\s*$/.exec(written)?.[1] ?? null,
    index,
  }))
  return [...quoted, ...called]
}

function faultOf(source, file, room, target) {
  if (target === null) return 'an import whose target is computed cannot be checked: write it out'
  if (target.split('/')[0] === FOREIGN_FUNCTIONS.package && room !== FOREIGN_FUNCTIONS.room) {
    return `only src/${FOREIGN_FUNCTIONS.room} may import ${target}: add a function there and call it`
  }
  const other = roomBehind(source, file, target)
  if (other === null) return null
  const allowed = MAY_IMPORT[room]
  if (allowed === undefined) return `${room} is no room of the design: add it to scripts/import-rules.mjs`
  if (other === room || allowed === ANY) return null
  if (allowed.includes(other)) return null
  return `${room} may not import ${other}, only ${allowed.join(', ') || 'itself'}: compose the two in control or lab`
}

/** The room that an import leads to; null for a package. */
function roomBehind(source, file, target) {
  if (target.startsWith('.')) return roomOf(source, join(dirname(file), target))
  if (target === OWN_NAME) return 'index'
  if (!target.startsWith(`${OWN_NAME}/`) || target.endsWith('.json')) return null
  return target.slice(OWN_NAME.length + 1).split('/')[0]
}

function roomOf(source, path) {
  return relative(source, path)
    .split(sep)[0]
    .replace(/\.[jt]s$/, '')
}

function sourceFiles(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return sourceFiles(path)
    return path.endsWith('.ts') && !path.endsWith('.test.ts') ? [path] : []
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = importFaults(process.argv[2] ?? fileURLToPath(new URL('../src', import.meta.url)))
  for (const fault of faults) console.error(fault)
  process.exitCode = faults.length > 0 ? 1 : 0
}
