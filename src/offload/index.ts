/** Forwarding in the driver, and tiers of flows. */

export type { FlowTable } from './flow-path.js'
export { type DriverFlows, nameOf, openDriverFlows } from './flow-table.js'
export { COUNT_NAMES, type CountName } from './formats.js'
export { type ForwardPort, forwardProgram } from './forward-program.js'
export { type ForwardDevice, type Forwarder, type ForwarderOptions, openForwarder } from './forwarder.js'
export { type Front, type FrontDevice, openFront } from './front.js'
export { checkTarget, RedirectError } from './targets.js'
export type { CountedFlow, OffloadFlow, OffloadKey, Tier } from './tier.js'
