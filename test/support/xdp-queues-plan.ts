import { type XdpWorkerSettings, xdpWorkers } from '../../src/control/index.js'
import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { count, reflect } from '../../src/stages/index.js'

/** A worker for each of two queues of a network device, which sends back what comes. */
export const xdpQueues = planWorkers<XdpWorkerSettings>(
  import.meta.url,
  xdpWorkers(2, (queue) => draw([receive(queue), count('taken'), reflect(), send(queue)])),
)
