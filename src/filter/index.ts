/** The filter language: pcap-filter(7) text to a checked AST, and back to text. */
export { formatIpv4, formatIpv6, isAddress, parseIpv4, parseIpv6 } from './address.js'
export type * from './ast.js'
export { describeExpression } from './describe.js'
export { FilterError, formatFilterError } from './error.js'
export type { FilterOptions, NameResolver } from './options.js'
export { type ParsedFilter, parseFilter } from './parse-filter.js'
export { printExpression } from './print.js'
