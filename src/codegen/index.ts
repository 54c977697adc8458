export type { Judge } from '../memory/index.js'
export type { LimitKey, RuleAction, RuleCode } from './ebpf/actions/action.js'
export type { LimitTable, PolicyLayout } from './ebpf/actions/parts.js'
export {
  cutIntoSegments,
  emitPolicy,
  type PolicyOptions,
  type Segment,
} from './ebpf/emit-policy.js'
export { type Action, emitXdp, RULE_COUNTERS, type XdpOptions } from './ebpf/emit-xdp.js'
export { type SetsByName, setImage, setMapName } from './ebpf/set-maps.js'
export { NO_RULE, VERDICT_BYTES } from './wasm/bundle.js'
export { emitMatcher, type Matcher, type MatcherOptions } from './wasm/emit-matcher.js'
export { loadMatcher } from './wasm/load-matcher.js'
export { type PlacedMatcher, placeMatcher } from './wasm/place-matcher.js'
