/** A module that cannot be encoded: a name that nothing declares, or blocks that do not close. */
export class ModuleError extends Error {
  override readonly name = 'ModuleError'
}
