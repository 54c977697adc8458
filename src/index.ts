/**
 * Sluice: rules in tcpdump's language that drop packets in the network driver.
 *
 * ```ts
 * import { attachXdp, compileRule, findDevice, loadProgram, ruleCountReader } from 'sluice'
 *
 * const { program } = compileRule({ match: 'udp and src port 53 and greater 512', action: 'drop' })
 * const loaded = loadProgram(program)
 * const link = attachXdp(loaded, findDevice('eth0'))
 * const [count] = ruleCountReader(loaded.maps.get('rule_counters')!)()
 * ```
 *
 * The rooms behind it are entries of their own: `sluice/filter`, `sluice/ir`,
 * `sluice/ebpf`, `sluice/wasm`, `sluice/codegen`, `sluice/loader`, `sluice/kernel`, `sluice/device`, `sluice/transmit`.
 */
export {
  type CompiledRules,
  type CompileOptions,
  compileFilter,
  compileRule,
  compileRules,
  type Rule,
} from './compile.js'
export {
  type Bridge,
  type ControlSocket,
  DeviceError,
  type FlowEnds,
  type FlowsRequest,
  findDevice,
  type Heard,
  type Hooks,
  type ListenerRequest,
  LostDeviceError,
  type PolicyInForce,
  type PolicyRequest,
  type PolicySurroundings,
  parseListener,
  policySource,
  type Router,
  type RouterFlow,
  type RouterFlows,
  type RouterListener,
  type RouterOptions,
  type RouterTotals,
  type ServedEngine,
  serveEngine,
  startBridge,
  startRouter,
  type TakenPackets,
  type TakeOptions,
  type TapWorkerSettings,
  takePackets,
  tapWorkers,
  type XdpWorkerSettings,
  xdpWorkers,
} from './control/index.js'
export type { NetworkDevice } from './device/index.js'
export {
  type Capture,
  type CapturedPacket,
  CaptureError,
  type CaptureWriter,
  createCapture,
  createCopy,
  openCapture,
} from './device/index.js'
export { disassemble, type Program } from './ebpf/index.js'
export { FilterError, formatFilterError, type ParsedFilter, parseFilter } from './filter/index.js'
export { type Graph, interpret, type Packet, printGraph, UnsupportedError } from './ir/index.js'
export {
  attachXdp,
  LoadError,
  type LoadedMap,
  type LoadedPolicy,
  type LoadedProgram,
  loadPolicy,
  loadProgram,
  type PolicyCount,
  type PolicySource,
  type RuleCount,
  ruleCountReader,
  type Sample,
  type XdpLink,
  type XdpMode,
} from './loader/index.js'
export type { PacketBundle } from './stages/index.js'
