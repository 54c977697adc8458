/** `npm start`: the demo. It runs in this process, so that Ctrl-C and the exit status are its own. */
import { exitOnFailure, prepare } from './prepare.mjs'

exitOnFailure(() => prepare())
const main = new URL('../dist/bin/sluice.cjs', import.meta.url)
process.argv = [process.execPath, main.pathname, 'demo', ...process.argv.slice(2)]
await import(main.href)
