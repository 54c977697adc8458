import { workerData } from 'node:worker_threads'
import { setAffinity } from '../src/kernel/index.js'
import { openCoreProbe, PROBE_WORDS, type ProbeThread } from './core-probe.js'

/** Probes its core when another thread does the same with its own. */
const { buffer, core } = workerData as ProbeThread
const [words, results] = [new Int32Array(buffer), new Float64Array(buffer, PROBE_WORDS.bytes - 8)]
setAffinity(0, [core])
const probe = await openCoreProbe()
for (let turn = 0; ; turn++) {
  Atomics.store(words, PROBE_WORDS.ready, turn)
  Atomics.wait(words, PROBE_WORDS.asked, turn)
  Atomics.store(words, PROBE_WORDS.here, turn + 1)
  results[0] = probe()
}
