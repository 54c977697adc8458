export type Transport = 'tcp' | 'udp' | 'sctp'

/** Where a service listens; a transport it does not use is missing. */
export type Service = Readonly<Partial<Record<Transport, number>>>

/**
 * Well-known services by port: name, port, transports, aliases. The names are
 * those of the IANA service registry, narrowed to the transports that are in
 * use, as operating systems do in services(5), and what a capture meets beside
 * them. The table is the program's own, so that a rule means the same on
 * every machine. A name that stands twice means its first line.
 */
const TABLE = `
  tcpmux 1 tcp
  echo 7 tcp/udp
  discard 9 tcp/udp sink null
  systat 11 tcp users
  daytime 13 tcp/udp
  netstat 15 tcp
  qotd 17 tcp quote
  chargen 19 tcp/udp ttytst source
  ftp-data 20 tcp
  ftp 21 tcp
  fsp 21 udp fspd
  ssh 22 tcp
  telnet 23 tcp
  smtp 25 tcp mail
  time 37 tcp/udp timserver
  whois 43 tcp nicname
  tacacs 49 tcp/udp
  domain 53 tcp/udp
  dns 53 tcp/udp
  bootps 67 udp
  bootpc 68 udp
  tftp 69 udp
  gopher 70 tcp
  finger 79 tcp
  http 80 tcp www
  kerberos 88 tcp/udp kerberos5 krb5 kerberos-sec
  iso-tsap 102 tcp tsap
  acr-nema 104 tcp dicom
  poppassd 106 tcp
  pop3 110 tcp pop-3
  sunrpc 111 tcp/udp portmapper
  auth 113 tcp authentication tap ident
  nntp 119 tcp readnews untp
  ntp 123 udp
  epmap 135 tcp loc-srv
  netbios-ns 137 udp
  netbios-dgm 138 udp
  netbios-ssn 139 tcp
  imap2 143 tcp imap
  snmp 161 tcp/udp
  snmp-trap 162 tcp/udp snmptrap
  cmip-man 163 tcp/udp
  cmip-agent 164 tcp/udp
  mailq 174 tcp
  xdmcp 177 udp
  bgp 179 tcp
  smux 199 tcp
  qmtp 209 tcp
  z3950 210 tcp wais
  ipx 213 udp
  ptp-event 319 udp
  ptp-general 320 udp
  pawserv 345 tcp
  zserv 346 tcp
  rpc2portmap 369 tcp/udp
  codaauth2 370 tcp/udp
  clearcase 371 udp Clearcase
  ldap 389 tcp/udp
  cldap 389 udp
  svrloc 427 tcp/udp
  https 443 tcp/udp
  snpp 444 tcp
  microsoft-ds 445 tcp
  kpasswd 464 tcp/udp
  submissions 465 tcp ssmtp smtps urd
  saft 487 tcp
  isakmp 500 udp
  modbus 502 tcp mbap
  exec 512 tcp
  biff 512 udp comsat
  login 513 tcp
  who 513 udp whod
  shell 514 tcp cmd syslog
  syslog 514 udp
  printer 515 tcp spooler
  talk 517 udp
  ntalk 518 udp
  route 520 udp router routed
  rip-ng 521 udp ripng
  gdomap 538 tcp/udp
  uucp 540 tcp uucpd
  klogin 543 tcp
  kshell 544 tcp krcmd
  dhcpv6-client 546 udp
  dhcpv6-server 547 udp
  afpovertcp 548 tcp
  rtsp 554 tcp/udp
  nntps 563 tcp snntp
  submission 587 tcp
  nqs 607 tcp
  asf-rmcp 623 udp
  qmqp 628 tcp
  ipp 631 tcp
  ldaps 636 tcp/udp
  ldp 646 tcp/udp
  dhcp-failover 647 tcp
  tinc 655 tcp/udp
  rmcp-secure 664 udp
  olsr 698 udp
  silc 706 tcp
  kerberos-adm 749 tcp
  kerberos4 750 udp/tcp kerberos-iv kdc
  kerberos-master 751 udp/tcp kerberos_master
  passwd-server 752 udp passwd_server
  krb-prop 754 tcp krb_prop krb5_prop hprop
  moira-db 775 tcp moira_db
  moira-update 777 tcp moira_update
  moira-ureg 779 udp moira_ureg
  spamd 783 tcp
  mbap-s 802 tcp
  domain-s 853 tcp/udp
  dnsovertls 853 tcp
  doq 853 udp
  supfilesrv 871 tcp
  rsync 873 tcp
  ftps-data 989 tcp
  ftps 990 tcp
  telnets 992 tcp
  imaps 993 tcp
  pop3s 995 tcp
  socks 1080 tcp
  proofd 1093 tcp
  rootd 1094 tcp
  rmiregistry 1099 tcp
  supfiledbg 1127 tcp
  skkserv 1178 tcp
  openvpn 1194 tcp/udp
  predict 1210 udp
  rmtcfg 1236 tcp
  xtel 1313 tcp
  xtelw 1314 tcp
  lotusnote 1352 tcp lotusnotes
  ms-sql-s 1433 tcp
  ms-sql-m 1434 udp
  wins 1512 udp
  oracle-tns 1521 tcp
  ingreslock 1524 tcp
  datametrics 1645 tcp/udp old-radius
  sa-msg-port 1646 tcp/udp old-radacct
  kermit 1649 tcp
  groupwise 1677 tcp
  l2f 1701 udp l2tp
  pptp 1723 tcp
  radius 1812 tcp/udp
  radius-acct 1813 tcp/udp radacct
  mqtt 1883 tcp
  ssdp 1900 udp
  hsrp 1985 udp
  cisco-sccp 2000 tcp
  nfs 2049 tcp/udp
  netflow 2055 udp
  gnunet 2086 tcp/udp
  rtcm-sc104 2101 tcp/udp
  zephyr-srv 2102 udp
  zephyr-clt 2103 udp
  zephyr-hm 2104 udp
  gsigatekeeper 2119 tcp
  iprop 2121 tcp
  gtp-control 2123 udp
  gris 2135 tcp
  gtp-user 2152 udp
  zookeeper 2181 tcp
  amt 2268 udp
  docker 2375 tcp
  docker-s 2376 tcp
  etcd-client 2379 tcp
  etcd-server 2380 tcp
  cvspserver 2401 tcp
  iec-104 2404 tcp
  venus 2430 tcp/udp
  venus-se 2431 tcp/udp
  codasrv 2432 tcp/udp
  codasrv-se 2433 tcp/udp
  mon 2583 tcp/udp
  zebrasrv 2600 tcp
  zebra 2601 tcp
  ripd 2602 tcp
  ripngd 2603 tcp
  ospfd 2604 tcp
  bgpd 2605 tcp
  ospf6d 2606 tcp
  ospfapi 2607 tcp
  isisd 2608 tcp
  dict 2628 tcp
  f5-globalsite 2792 tcp
  gsiftp 2811 tcp
  m2ua 2904 sctp
  m3ua 2905 sctp
  gpsd 2947 tcp
  gds-db 3050 tcp gds_db
  icpv2 3130 udp icp
  isns 3205 tcp/udp
  glbp 3222 udp
  iscsi-target 3260 tcp
  net-assistant 3283 udp
  mysql 3306 tcp
  gtp-prime 3386 udp
  ms-wbt-server 3389 tcp
  stun 3478 tcp/udp turn
  nut 3493 tcp/udp
  teredo 3544 udp
  m2pa 3565 sctp
  distcc 3632 tcp
  knxnetip 3671 udp
  daap 3689 tcp
  svn 3690 tcp subversion
  ws-discovery 3702 udp
  bfd-control 3784 udp
  bfd-echo 3785 udp
  diameter 3868 tcp/sctp
  suucp 4031 tcp
  sysrqd 4094 tcp
  sieve 4190 tcp
  nats 4222 tcp
  lisp-data 4341 udp
  lisp-control 4342 udp
  f5-iquery 4353 tcp
  epmd 4369 tcp
  remctl 4373 tcp
  ntske 4460 tcp
  ipsec-nat-t 4500 udp
  fax 4557 tcp
  hylafax 4559 tcp
  iax 4569 udp
  mtn 4691 tcp
  ipfix 4739 tcp/udp/sctp
  bfd-multi-ctl 4784 udp
  vxlan 4789 udp
  roce-v2 4791 udp
  opcua-tcp 4840 tcp
  radmin-port 4899 tcp
  munin 4949 tcp lrrd
  sip 5060 tcp/udp
  sip-tls 5061 tcp/udp
  xmpp-client 5222 tcp jabber-client
  capwap-control 5246 udp
  capwap-data 5247 udp
  xmpp-server 5269 tcp jabber-server
  cfengine 5308 tcp
  stuns 5349 tcp/udp turns
  mdns 5353 udp
  llmnr 5355 tcp/udp
  postgresql 5432 tcp postgres
  rplay 5555 udp
  freeciv 5556 tcp rptp
  nrpe 5666 tcp
  nsca 5667 tcp
  amqps 5671 tcp
  amqp 5672 tcp/sctp
  canna 5680 tcp
  coap 5683 tcp/udp
  coaps 5684 tcp/udp
  diameters 5868 tcp/sctp
  rfb 5900 tcp vnc-server
  x11 6000 tcp x11-0
  x11-1 6001 tcp
  x11-2 6002 tcp
  x11-3 6003 tcp
  x11-4 6004 tcp
  x11-5 6005 tcp
  x11-6 6006 tcp
  x11-7 6007 tcp
  gue 6080 udp
  geneve 6081 udp
  sflow 6343 udp
  gnutella-svc 6346 tcp/udp
  gnutella-rtr 6347 tcp/udp
  redis 6379 tcp
  sge-qmaster 6444 tcp sge_qmaster
  sge-execd 6445 tcp sge_execd
  mysql-proxy 6446 tcp
  syslog-tls 6514 tcp
  sane-port 6566 tcp sane saned
  mpls-udp 6635 udp
  ircd 6667 tcp
  babel 6696 udp
  ircs-u 6697 tcp
  ceph 6789 tcp
  bbs 7000 tcp
  afs3-fileserver 7000 udp
  afs3-callback 7001 udp
  afs3-prserver 7002 udp
  afs3-vlserver 7003 udp
  afs3-kaserver 7004 udp
  afs3-volser 7005 udp
  afs3-bos 7007 udp
  afs3-update 7008 udp
  afs3-rmtsys 7009 udp
  font-service 7100 tcp xfs
  rtps-discovery 7400 udp
  zope-ftp 8021 tcp
  http-alt 8080 tcp webcache
  tproxy 8081 tcp
  omniorb 8088 tcp
  puppet 8140 tcp
  bitcoin 8333 tcp
  matrix 8448 tcp
  pfcp 8805 udp
  secure-mqtt 8883 tcp
  clc-build-daemon 8990 tcp
  cassandra 9042 tcp
  prometheus 9090 tcp
  kafka 9092 tcp
  xinetd 9098 tcp
  node-exporter 9100 tcp jetdirect
  bacula-dir 9101 tcp
  bacula-fd 9102 tcp
  bacula-sd 9103 tcp
  elasticsearch 9200 tcp
  git 9418 tcp
  xmms2 9667 tcp
  zope 9673 tcp
  iua 9900 sctp
  webmin 10000 tcp
  zabbix-agent 10050 tcp
  zabbix-trapper 10051 tcp
  amanda 10080 tcp
  kamanda 10081 tcp
  amandaidx 10082 tcp
  amidxtape 10083 tcp
  nbd 10809 tcp
  dicom 11112 tcp
  memcache 11211 tcp/udp memcached
  hkp 11371 tcp
  sua 14001 sctp
  sgi-cmsd 17001 udp
  sgi-crsd 17002 udp
  sgi-gcd 17003 udp
  sgi-cad 17004 tcp
  db-lsp 17500 tcp
  dnp 20000 tcp/udp
  nfsrdma 20049 tcp
  syncthing 22000 tcp
  dcap 22125 tcp
  gsidcap 22128 tcp
  wnn6 22273 tcp
  glusterd 24007 tcp
  binkp 24554 tcp
  mongodb 27017 tcp
  asp 27374 tcp/udp
  sgsap 29118 sctp
  csync2 30865 tcp
  profinet-rt 34962 udp
  s1-control 36412 sctp s1ap
  x2-control 36422 sctp x2ap
  ng-control 38412 sctp ngap
  xn-control 38422 sctp xnap
  e1-interface 38462 sctp
  f1-control 38472 sctp
  ethernet-ip 44818 tcp/udp
  bacnet 47808 udp
  wireguard 51820 udp
  dircproxy 57000 tcp
  tfido 60177 tcp
  fido 60179 tcp
`

let services: Map<string, Partial<Record<Transport, number>>> | null = null

/** The ports of a service by its name or alias; undefined for a name that the table does not have. */
export function findService(name: string): Service | undefined {
  services ??= readTable()
  return services.get(name)
}

function readTable(): Map<string, Partial<Record<Transport, number>>> {
  const found = new Map<string, Partial<Record<Transport, number>>>()
  for (const line of TABLE.trim().split('\n')) {
    const [name, port, transports, ...aliases] = line.trim().split(' ')
    for (const key of [name!, ...aliases]) {
      const service = found.get(key) ?? {}
      for (const transport of transports!.split('/') as Transport[]) service[transport] ??= Number(port)
      found.set(key, service)
    }
  }
  return found
}
