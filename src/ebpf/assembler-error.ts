/** A program that cannot be assembled or decoded: says what, where, and what to do. */
export class AssemblerError extends Error {
  override name = 'AssemblerError'
}
