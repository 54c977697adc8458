/** Routing: tables of routes, next hops and ports, and the stage that forwards by them. */

export { openShare } from './ask-share.js'
export { type ErrorKind, type ErrorRate, type ErrorsOptions, errors } from './errors.js'
export type { FibOptions, FibStatistics, Prefix, Route, RouteList } from './fib.js'
export * from './formats.js'
export { type ForwardOptions, forward } from './forward.js'
export { fragment } from './fragment.js'
export { type HoldOptions, hold } from './hold.js'
export type { NextHop } from './next-hops.js'
export type { Port } from './ports.js'
export { openReader } from './readers.js'
export {
  attachRoutes,
  openRoutes,
  type RouteReader,
  type Routes,
  type RoutesOptions,
  type RoutesPlace,
  routesBytes,
} from './routes.js'
