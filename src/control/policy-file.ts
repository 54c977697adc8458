import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  loadSets,
  type PlaceOf,
  type Policy,
  type PolicyOptions,
  placesIn,
  readPolicy,
  type SetContents,
} from '../policy/index.js'

/** A policy file that cannot be opened. */
export class PolicyFileError extends Error {
  override name = 'PolicyFileError'
}

/** A policy as its file says it, with the lists of its sets. */
export interface PolicyFile {
  readonly policy: Policy
  readonly sets: ReadonlyMap<string, SetContents>
  /** Where a part of the policy stands, for faults that are found after it was read. */
  readonly placeOf: PlaceOf
}

/** Reads a policy and its lists, whose paths count from its folder. Throws PolicyFileError, PolicyError and SetError. */
export function readPolicyFile(path: string, options: PolicyOptions = {}): PolicyFile {
  const text = textOf(path)
  const policy = readPolicy(text, path, options)
  return { policy, sets: loadSets(policy, dirname(path)), placeOf: placesIn(text, path) }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file; check the path',
  EACCES: 'permission denied; run as its owner or make it readable',
  EISDIR: 'it is a directory; give the path of a policy file',
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new PolicyFileError(`cannot read the policy ${path}: ${REASONS[code] ?? `${code}; check the path`}`)
  }
}
