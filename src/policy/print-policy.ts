import { stringify } from 'yaml'
import type { Policy } from './policy.js'
import { writePolicy } from './written.js'

/** The policy as text that `readPolicy` reads as the same value. */
export function printPolicy(policy: Policy, format: 'yaml' | 'json' = 'yaml'): string {
  const written = writePolicy(policy)
  // Long expressions stay on one line, so that an error can point into them.
  return format === 'json' ? `${JSON.stringify(written, null, 2)}\n` : stringify(written, { lineWidth: 0 })
}
