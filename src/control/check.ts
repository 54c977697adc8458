/** One thing that was looked at. `remedy` says what to change where it is not `ok`. */
export interface Check {
  readonly name: string
  /** `missing`: something does not work without it; `note`: works, but worth knowing. */
  readonly status: 'ok' | 'note' | 'missing'
  readonly found: string
  readonly remedy: string | null
}

/** It works. */
export const ok = (name: string, found: string): Check => ({ name, status: 'ok', found, remedy: null })
/** It works, and the operator should know something about it. */
export const note = (name: string, found: string, remedy: string): Check => ({ name, status: 'note', found, remedy })
/** Something of Sluice does not work without it. */
export const missing = (name: string, found: string, remedy: string): Check => ({
  name,
  status: 'missing',
  found,
  remedy,
})
