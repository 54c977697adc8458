/** A header of C that names each number. */
export function headerOf(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([name, value]) => `#define ${name} ${value}u\n`)
    .join('')
}
