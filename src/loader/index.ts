export { attachXdp, GENERIC_WARNING, type XdpLink, type XdpMode } from './attach.js'
export { perCpuReader, type RuleCount, ruleCountReader } from './counters.js'
export { LoadError } from './errors.js'
export { type LoadedMap, type LoadedProgram, loadProgram } from './load.js'
