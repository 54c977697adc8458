import type { ChildProcess } from 'node:child_process'

/** The child's side of its channel to the process that runs the experiment. */
export interface LabChild {
  readonly arguments: readonly string[]
  send(message: object): void
  onMessage(listener: (message: unknown) => void): void
}

/** Called once by each child module. The child ends when its parent lets go of the channel. */
export function startLabChild(): LabChild {
  process.on('disconnect', () => process.exit())
  // Ctrl-C reaches the whole foreground group; the parent decides in which order things end.
  process.on('SIGINT', () => {})
  return {
    arguments: process.argv.slice(2),
    send: (message) => void process.send?.(message),
    onMessage: (listener) => void process.on('message', listener),
  }
}

/** A message with a `kind`, from a child. */
interface Message {
  readonly kind: string
}

/**
 * The next message of `kind` from a child; other kinds go to `others`. Rejects
 * when the child ends first, so that a dead part ends the experiment.
 */
export function nextMessage<T extends Message>(
  child: ChildProcess,
  kind: T['kind'],
  others?: (message: Message) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off('message', onMessage)
      child.off('exit', onExit)
    }
    const onMessage = (message: unknown) => {
      if ((message as Message).kind !== kind) return others?.(message as Message)
      done()
      resolve(message as T)
    }
    const onExit = (code: number | null, signal: string | null) => {
      done()
      reject(new Error(`a part of the experiment ended early (${signal ?? `status ${code}`}): run it again`))
    }
    child.on('message', onMessage)
    child.once('exit', onExit)
  })
}
