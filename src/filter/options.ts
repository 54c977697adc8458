/** Looks names up for a filter expression; undefined (or nothing found) is a clear error. */
export interface NameResolver {
  /** IPv4 and IPv6 addresses of a host, as text. */
  host?(name: string): readonly string[] | undefined
  /** The address of an IPv4 network as text, with as many parts as count: `192.0.2` is a /24, `192.0.2.0` one address. */
  network?(name: string): string | undefined
  /** The MAC address of a host, as text. */
  ethernet?(name: string): string | undefined
  /** What to do about a name that is not found, as the end of the sentence that says so. */
  readonly remedy?: string
}

/** How an expression is read, beyond its text. */
export interface FilterOptions {
  /** Link type by its `tcpdump -y` name; EN10MB when left out. Unknown names refuse nothing. */
  linkType?: string
  /** Without one, host names are refused. */
  resolver?: NameResolver
  /** The names that `net @name` may use; without it there are no sets. */
  sets?: ReadonlySet<string>
  /**
   * IPv4 netmask of the network, for `ip broadcast`; null when it is not known
   * and `ip broadcast` so refused. Left out it is 0: only 0.0.0.0 and
   * 255.255.255.255 are broadcast then, as tcpdump has it for a capture file.
   */
  netmask?: number | null
  /**
   * Whether packets come from a device, which tells direction and interface;
   * from a file only some link types do. True when left out.
   */
  live?: boolean
}
