/** Policies: rules, limits, lifetimes and sets as a plain value; builders, files, and what is wrong with them. */
export { count, divert, drop, forward, limit, mark, type PolicySettings, pass, policy, sample, steer } from './build.js'
export { changeContents, type SetChange } from './change-set.js'
export type { PolicyOptions } from './check.js'
export { describeRule } from './describe-rule.js'
export { type PlaceOf, PolicyError, type PolicyFault, type PolicyPath } from './error.js'
export { nearest } from './nearest.js'
export { faultOfPrefix } from './parse-prefix.js'
export {
  type Action,
  type ActionKind,
  DEFAULT_TABLES,
  isFinal,
  type Lifetime,
  type LimitAction,
  type LimitScope,
  type Mode,
  type Policy,
  type PrefixLengths,
  type Rate,
  type Rule,
  type SampleAction,
  type SetSource,
  type TableSettings,
  type WhenFull,
} from './policy.js'
export { buildTable, isInSet, type PrefixList, type SetContents } from './prefix-set.js'
export { printPolicy } from './print-policy.js'
export { placesIn, readPolicy } from './read-policy.js'
export { readRule } from './read-rule.js'
export { loadSets, readSet, SetError } from './read-set.js'
export { policyJsonSchema } from './schema.js'
export type {
  ForwardOptions,
  LimitOptions,
  MarkOptions,
  RuleOptions,
  SampleOptions,
  SteerOptions,
  WrittenPolicy,
  WrittenRule,
  WrittenTables,
} from './written.js'
