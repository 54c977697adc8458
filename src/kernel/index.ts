export { formatMac, parseAddress, parseMac, parsePrefix } from './address.js'
export {
  closeBpf,
  createMap,
  deleteElement,
  isNotSupported,
  linkedDevice,
  loadProgramCode,
  lookupBatch,
  lookupElement,
  MAP_TYPES,
  mapId,
  openMap,
  type ProgramInfo,
  possibleCpus,
  prepareHandOver,
  prepareTestRun,
  programInfo,
  TEST_XDP_LIVE_FRAMES,
  type TestRun,
  takeElement,
  testRun,
  tryCreateTcxLink,
  tryCreateXdpLink,
  tryTestRun,
  updateElement,
  updateLink,
  XDP_HAS_FRAGS,
} from './bpf.js'
export { bootTimeNs, createClock } from './clock.js'
export { closeDescriptor, closeNoted, noteDescriptors, type QueueNote } from './descriptors.js'
export {
  type Channels,
  type Feature,
  readChannels,
  readDriver,
  readFeatures,
  readStatistics,
  setFeatures,
} from './ethtool.js'
export { clearEvent, type KernelEvent, openEvent, raiseEvent } from './event.js'
export { linkDescriptor } from './file.js'
export { createFrameIo, type FrameIo } from './frame-io.js'
export type { LinearMemory, MemoryRange, Opened } from './linear-memory.js'
export { useHugePages, wholePages } from './linear-memory.js'
export { waitForRunningPrograms, withMapMemory } from './map-memory.js'
export {
  closeNamespace,
  createNamespace,
  isInitialNamespace,
  type NetworkNamespace,
  openInitialNamespace,
  openNamespace,
  readSysctl,
  withNamespace,
  writeSysctl,
} from './namespace.js'
export { findNapiThreads, type NapiPlacement, placeNapi } from './napi.js'
export { closeNetlink, type NetlinkSocket } from './netlink.js'
export {
  createPacketSender,
  openPacketSocket,
  PACKET_BLOCK,
  PACKET_HEADER,
  type PacketOptions,
  type PacketSender,
  type PacketSocket,
  type PacketStatistics,
  readPacketStatistics,
} from './packet-socket.js'
export {
  dieWithParent,
  formatOwner,
  identify,
  isAlive,
  killIf,
  type NamespaceChildOptions,
  OWNER_VARIABLE,
  type ProcessIdentity,
  parseOwner,
  spawnInNamespace,
} from './process.js'
export { createWaiter, pauseWatches, type Readiness, type Waiter, type Watch, watchDescriptor } from './readiness.js'
export { openRingBuffer, type RingBuffer } from './ring-buffer.js'
export type { KernelAddress, KernelNeighbour, KernelRoute, RouteChange, RouteHop, RoutePlace } from './route-message.js'
export {
  listAddresses,
  listNeighbours,
  listRoutes,
  listRuleTables,
  openRouteMonitor,
  type RouteMonitor,
  useNeighbour,
} from './route-monitor.js'
export {
  addAddress,
  addNeighbour,
  addRoute,
  createVeth,
  deleteLink,
  findLink,
  type Link,
  listLinks,
  namespaceId,
  openRoute,
  setLink,
  type VethEnd,
} from './rtnetlink.js'
export {
  cpuTimeNs,
  getAffinity,
  pinProcess,
  type SchedulingPolicy,
  setAffinity,
  setPolicy,
  withAffinity,
} from './scheduler.js'
export { ERRNO, errnoName, KernelError } from './syscall.js'
export { readDeviceAttribute, writeDeviceAttribute } from './sysfs.js'
export { openTap, type TapOptions, type TapSocket, VNET_HEADER } from './tap.js'
export { readXdpFeatures, type XdpFeatures } from './xdp-features.js'
export {
  openXsk,
  readXskStatistics,
  wakeXskReceive,
  wakeXskTransmit,
  type XskOptions,
  type XskRing,
  type XskRingOffsets,
  type XskRingPlace,
  type XskSocket,
  type XskStatistics,
  type XskUmem,
  xskRingBytes,
} from './xsk.js'
export { openXskClaim, takeUpClaim, waitForGrants, type XskClaim } from './xsk-claim.js'
