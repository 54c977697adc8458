/** What a router has dropped, by stage and reason. */
interface Dropped {
  readonly drops: Readonly<Record<string, number>>
}

/** Why the kernel loses packets at the rings of a device whose worker comes too late to empty them. */
const isTooLate = (name: string) => /: (receive ring full|no frame to receive into)$/.test(name)

/** Without what a machine that is too busy loses. */
export function ownDrops({ drops }: Dropped): Record<string, number> {
  return Object.fromEntries(Object.entries(drops).filter(([name]) => !isTooLate(name)))
}

/** Packets that a machine that is too busy has lost at the rings of devices. */
export function lostAtRings({ drops }: Dropped): number {
  return Object.entries(drops).reduce((sum, [name, count]) => sum + (isTooLate(name) ? count : 0), 0)
}
