export {
  type Attach,
  alreadyAttached,
  attachTcx,
  attachXdp,
  detachAdvice,
  GENERIC_WARNING,
  type XdpLink,
  type XdpMode,
} from './attach.js'
export { replaceContents } from './contents.js'
export { perCpuReader, type RuleCount, ruleCountReader } from './counters.js'
export { LoadError } from './errors.js'
export { type LoadedMap, type LoadedProgram, loadProgram } from './load.js'
export { type LoadedPolicy, loadPolicy } from './policy.js'
export { divertInto, type PolicyCount, type PolicyRule, type PolicySource } from './policy-source.js'
export type { Sample } from './samples.js'
export { type VerifierStatistics, verifierStatistics } from './statistics.js'
