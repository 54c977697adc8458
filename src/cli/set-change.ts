import { print, printJson } from './output.js'
import { askChosen, type ServiceChoice } from './service-choice.js'

/** Has a service put addresses into one of its sets, or take them out, and says what the set has then. */
export async function changeSet(
  name: string,
  change: { readonly add: readonly string[]; readonly remove: readonly string[] },
  options: ServiceChoice & { readonly json?: boolean },
): Promise<void> {
  // A set may be written as rules write it.
  const set = name.replace(/^@/, '')
  const { device, result } = await askChosen(options, {
    do: 'change set',
    set,
    add: [...change.add],
    remove: [...change.remove],
  })
  if (options.json) {
    printJson({ device, ...result })
    return
  }
  const { before } = result
  const [now, then] = [result.ipv4 + result.ipv6, before.ipv4 + before.ipv6]
  print(`@${result.name} has ${now} ${now === 1 ? 'prefix' : 'prefixes'} at ${device} now, and had ${then}`)
}
