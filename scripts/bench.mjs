/** `npm run bench -- NAME …`: one benchmark, in this process; without a name, what there is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { exitOnFailure, prepare, ROOT } from './prepare.mjs'

const [name, ...args] = process.argv.slice(2)
exitOnFailure(() => prepare({ tests: true }))

const folder = join(ROOT, 'bench')
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter(isBenchmark)
      .map((file) => file.replace(/\.ts$/, ''))
  : []

if (name === undefined) {
  console.log(names.join('\n'))
} else if (!names.includes(name)) {
  console.error(`sluice: there is no benchmark "${name}"; choose one of: ${names.join(', ')}`)
  process.exitCode = 2
} else {
  const file = join(ROOT, 'build/bench', `${name}.js`)
  process.argv = [process.execPath, file, ...args]
  await import(pathToFileURL(file).href)
}

/** What others import is a part of benchmarks, not one that can be run. */
function isBenchmark(file) {
  return /^[^.]+\.ts$/.test(file) && !/^export /m.test(readFileSync(join(folder, file), 'utf8'))
}
