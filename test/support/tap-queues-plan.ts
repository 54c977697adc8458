import { type TapWorkerSettings, tapWorkers } from '../../src/control/index.js'
import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { count, reflect } from '../../src/stages/index.js'

/** A worker for each of two queues of a TAP device, which sends back what comes. */
export const tapQueues = planWorkers<TapWorkerSettings>(
  import.meta.url,
  tapWorkers(2, (queue) => draw([receive(queue), count('taken'), reflect(), send(queue)])),
)
