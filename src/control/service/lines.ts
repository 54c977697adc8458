import type { Socket } from 'node:net'

/** A line is longer than the reader allows: one sentence. */
export class LongLineError extends Error {
  override name = 'LongLineError'
}

const LINE_FEED = 0x0a

/**
 * The lines that come from a socket, without their ends. What is not asked for
 * waits in the kernel, so that a peer who sends faster than is worked off takes
 * no memory. What comes without a line end before the connection closes is no
 * line. The socket is the caller's to close. Throws LongLineError, and what the socket reports.
 */
export async function* readLines(socket: Socket, mostBytes: number): AsyncGenerator<string, void> {
  let parts: Buffer[] = []
  let length = 0
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let rest = chunk
    for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
      if (length + end > mostBytes) throw tooLong(mostBytes)
      yield Buffer.concat([...parts, rest.subarray(0, end)]).toString()
      ;[parts, length] = [[], 0]
      rest = rest.subarray(end + 1)
    }
    length += rest.length
    if (length > mostBytes) throw tooLong(mostBytes)
    if (rest.length > 0) parts.push(rest)
  }
}

function tooLong(mostBytes: number): LongLineError {
  return new LongLineError(`a line is longer than ${mostBytes} bytes; send less at once`)
}
