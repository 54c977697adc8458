/** Traffic: templates of packets, when they are due, and what becomes of them at the other end. */
export type { AmplifiedKind } from './answers.js'
export { ANSWERS } from './answers.js'
export { frameShape } from './frame-shape.js'
export {
  type AddressRange,
  FrameError,
  type FrameSpec,
  frameTemplates,
  type PortRange,
  type TrafficKind,
} from './frames.js'
export {
  type Arrivals,
  frameClassFor,
  type Generated,
  type Generator,
  openGenerator,
  type TrafficPlan,
} from './generator.js'
export { type Delays, type Measured, measure } from './measure.js'
export { templateTableBytes } from './plan-tables.js'
export { MIXES, parseSizes, SizeError, type WeightedSize } from './sizes.js'
export type { Template, TemplateField } from './template.js'
export { type CapturedPacket, type Variation, type VariedCapture, varyCapture } from './vary.js'
