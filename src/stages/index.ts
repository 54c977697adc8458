/** What can stand in a graph, one stage a file. */
export { type Counted, count } from './count.js'
export { discard } from './discard.js'
export { divide } from './divide.js'
export { earlyDrop } from './early-drop.js'
export { handle, type PacketBundle } from './handle.js'
export { reflect } from './reflect.js'
export type { Judge } from './verdicts.js'
