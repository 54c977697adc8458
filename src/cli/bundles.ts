/**
 * Which commands stand in which bundle: what V8 has compiled of a bundle is read as a whole, 5 ms for a megabyte. While
 * `drop` and `protect` load a flood goes on, and those of `asking` are short. Every other has all commands around it.
 */
export const BUNDLES: Readonly<Record<string, readonly string[]>> = {
  drop: ['drop'],
  protect: ['protect'],
  asking: [
    ...['match', 'compile', 'explain', 'doctor'],
    ...['status', 'list', 'top', 'trace', 'capture', 'flows', 'hook', 'add', 'remove'],
  ],
}

/** The bundle of all commands, and of the help. */
export const WHOLE = 'commands'

/** The bundle that does what `command`, the first argument, asks for. */
export function bundleOf(command: string | undefined): string {
  return Object.keys(BUNDLES).find((name) => BUNDLES[name]!.includes(command ?? '')) ?? WHOLE
}
