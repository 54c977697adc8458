export { COUNT_NAMES, type CountName } from './formats.js'
export { type ForwardPort, forwardProgram } from './forward-program.js'
export { type ForwardDevice, type Forwarder, openForwarder, RedirectError } from './forwarder.js'
