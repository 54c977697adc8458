import { openByteSource } from './byte-source.js'
import { type Capture, CaptureError } from './capture.js'
import { openPcap } from './pcap.js'
import { openPcapng } from './pcapng.js'

export interface CaptureReadOptions {
  /**
   * Somebody still writes to the file: at its end more is waited for, by asking
   * `next` again. Its header must be there; a packed file cannot be followed.
   */
  readonly grows?: boolean
  /**
   * Everything that the file holds goes with its packets, for `createCopy`. Its
   * interfaces may then differ: otherwise reading ends at the first of another
   * link type or snapshot length, as in libpcap, because a filter is compiled for one.
   */
  readonly whole?: boolean
}

/**
 * Opens a pcap or pcapng file of either byte order, packed with gzip or not;
 * `-` is standard input. Throws CaptureError where it cannot be read or is not
 * a capture. Where the file breaks later, `error` of the result says so.
 *
 *     for (const { data } of openCapture('flood.pcap').packets()) …
 */
export function openCapture(path: string, { grows = false, whole = false }: CaptureReadOptions = {}): Capture {
  const source = opened(path, grows)
  try {
    const capture = openPcap(source, path, whole) ?? openPcapng(source, path, whole)
    if (capture === null) {
      throw new CaptureError(
        `${path} is not a capture file: it does not begin as pcap, pcapng or gzip does; give a file that tcpdump -w or Wireshark wrote`,
      )
    }
    return capture
  } catch (error) {
    source.close()
    throw error instanceof CaptureError ? error : unreadable(path, error)
  }
}

function opened(path: string, grows: boolean) {
  try {
    return openByteSource(path, grows)
  } catch (error) {
    throw unreadable(path, error)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file; check the path',
  EACCES: 'permission denied; run as its owner or make it readable',
  EISDIR: 'it is a directory; give the path of a capture file',
}

function unreadable(path: string, error: unknown): CaptureError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return new CaptureError(`cannot read ${path}: ${REASONS[code] ?? `${code}; check the file and its device`}`, {
    cause: error,
  })
}
