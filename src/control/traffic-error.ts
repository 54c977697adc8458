/** Traffic that cannot be sent as it was asked for, or must not: one sentence with what to do. */
export class TrafficError extends Error {
  override name = 'TrafficError'
}
