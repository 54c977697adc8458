export { formatMac, parseAddress, parseMac, parsePrefix } from './address.js'
export {
  closeNamespace,
  createNamespace,
  type NetworkNamespace,
  withNamespace,
  writeSysctl,
} from './namespace.js'
export { closeNetlink, type NetlinkSocket } from './netlink.js'
export {
  addAddress,
  addNeighbour,
  addRoute,
  createVeth,
  deleteLink,
  findLink,
  type Link,
  listLinks,
  openRoute,
  setLink,
  type VethEnd,
} from './rtnetlink.js'
export { closeDescriptor, errnoName, KernelError } from './syscall.js'
