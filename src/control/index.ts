/** The running parts behind the commands: each composes rooms that do not know each other. */
export { CaptureError } from '../device/index.js'
export { FilterError } from '../filter/index.js'
export { LoadError } from '../loader/index.js'
export { printLayout } from '../memory/index.js'
export { type Bridge, startBridge } from './bridge.js'
export type { Check } from './check.js'
export { DeviceError, findDevice, LostDeviceError } from './device.js'
export { examineMachine } from './doctor.js'
export { examineDevice } from './doctor-device.js'
export { type Explanation, explainRule, type KernelAnswer, type PacketRead } from './explain.js'
export {
  type ExplainedRule,
  type ExplainedSegment,
  type ExplainedSet,
  explainPolicy,
  type PolicyExplanation,
} from './explain-policy.js'
export { type RuleForms, ruleForms } from './forms.js'
export { LinkTypeError } from './link-type.js'
export { type MatchReport, type MatchRequest, type MatchResult, matchCapture } from './match.js'
export type { MatchEngine } from './matcher.js'
export type { PolicyInForce, PolicyRequest } from './opened-policy.js'
export { type PolicyForms, policyForms } from './policy-forms.js'
export { type PolicySurroundings, policySource } from './policy-source.js'
export { type TapWorkerSettings, tapWorkers, type XdpWorkerSettings, xdpWorkers } from './queue-workers.js'
export { resolveNames } from './resolve.js'
export type { Hooks } from './router/draw.js'
export {
  type FlowEnds,
  type FlowsRequest,
  type Heard,
  type ListenerRequest,
  parseListener,
  type Router,
  type RouterFlow,
  type RouterFlows,
  type RouterListener,
  type RouterOptions,
  type RouterTotals,
  startRouter,
} from './router/router.js'
export { type ServedEngine, serveEngine } from './service/engine-service.js'
export type { ControlSocket } from './service/listen.js'
export { type TakenPackets, type TakeOptions, takePackets } from './take-packets.js'
