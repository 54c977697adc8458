import { FLOW_DEADLINE, FLOWS_CLOCK, FLOWS_TIMEOUTS } from './formats'

/** Ticks that a flow lives without a packet in a state, or for a reason. */
export function timeoutOf(flows: u32, state: u32): u32 {
  return load<u32>(flows + (state << 2), FLOWS_TIMEOUTS)
}

/** The flow lives so many ticks from now on. */
export function refresh(flows: u32, flow: u32, ticks: u32): void {
  store<u32>(flow, load<u32>(flows, FLOWS_CLOCK) + ticks, FLOW_DEADLINE)
}

/** Its next packet finds it expired; what it was is there until then. */
export function expire(flow: u32): void {
  store<u32>(flow, 0, FLOW_DEADLINE)
}

/** It lives so many ticks from now on, unless it was to end before. */
export function shorten(flows: u32, flow: u32, ticks: u32): void {
  const deadline = load<u32>(flows, FLOWS_CLOCK) + ticks
  if (deadline < load<u32>(flow, FLOW_DEADLINE)) store<u32>(flow, deadline, FLOW_DEADLINE)
}
