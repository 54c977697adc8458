import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRNO, KernelError } from '../kernel/index.js'
import { remedied, withRemedy } from './remedy.js'

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

test('so does one that comes from another thread as nothing but its message', () => {
  const { message } = new KernelError('binding an AF_XDP socket to queue 0 of eth0', ERRNO.EBUSY)
  assert.match(remedied(message), /of eth0: EBUSY; somebody else has it: end that process/)
  assert.equal(remedied('no code at all'), 'no code at all')
})
