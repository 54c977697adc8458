/** `npm run bench -- NAME …`: one benchmark, in this process; without a name, what there is. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { exitOnFailure, prepare, ROOT } from './prepare.mjs'

const [name, ...args] = process.argv.slice(2)
exitOnFailure(() => prepare({ tests: true }))

const folder = join(ROOT, 'build/bench')
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((file) => file.endsWith('.js') && !file.endsWith('.test.js'))
      .map((file) => file.slice(0, -'.js'.length))
  : []

if (name === undefined) {
  console.log(names.join('\n'))
} else if (!names.includes(name)) {
  console.error(`sluice: there is no benchmark "${name}"; choose one of: ${names.join(', ')}`)
  process.exitCode = 2
} else {
  const file = join(folder, `${name}.js`)
  process.argv = [process.execPath, file, ...args]
  await import(pathToFileURL(file).href)
}
