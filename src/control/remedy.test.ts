import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRNO, KernelError } from '../kernel/index.js'
import { withRemedy } from './remedy.js'

test('every refusal of the kernel comes with what to do', () => {
  const cases = [
    [ERRNO.EPERM, /^opening: EPERM; run it as root/],
    [ERRNO.EMFILE, /^opening: EMFILE; .*ulimit -n$/],
    [ERRNO.ENOMEM, /^opening: ENOMEM; .*memory/],
    [ERRNO.ENOSYS, /^opening: ENOSYS; .*newer kernel/],
    [ERRNO.EDOM, /^opening: EDOM; .*sluice doctor$/],
  ] as const
  for (const [errno, sentence] of cases) assert.match(withRemedy(new KernelError('opening', errno)), sentence)
})
