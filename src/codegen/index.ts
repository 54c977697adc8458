export { type Action, emitXdp, RULE_COUNTERS, type XdpOptions } from './ebpf/emit-xdp.js'
export { type SetsByName, setImage, setMapName } from './ebpf/set-maps.js'
export type { PrefixList, SetContents } from './sets/prefixes.js'
