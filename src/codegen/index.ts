export { type Action, emitXdp, RULE_COUNTERS, type XdpOptions } from './ebpf/emit-xdp.js'
