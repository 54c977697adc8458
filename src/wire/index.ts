export { addWords, foldChecksum } from './checksum.js'
export { ETHERNET, ETHERTYPE, writeEthernet } from './ethernet.js'
export { IP_PROTOCOL, IPV4, write16, writeIpv4 } from './ipv4.js'
export { TCP, TCP_FLAG, UDP } from './transport.js'
