import type { Command } from 'commander'
import { chooseService, connectTo, type ServiceChoice, type ServiceKind } from '../control/service/ask.js'
import type { Request, Results } from '../control/service/protocol.js'

export type { ServiceChoice }

/** Has `command` ask one of several services. */
export function addServiceChoice(command: Command): Command {
  return command
    .option('--device <device>', 'the service at this device, where several run')
    .option('--process <id>', 'the service of this process, as sluice status names it')
}

/** Asks the policy that is meant, or what else `kinds` names, for one thing. Throws AskError, whose sentence is the service's where it has refused. */
export async function askChosen<Asked extends Request>(
  choice: ServiceChoice,
  request: Asked,
  kinds: readonly ServiceKind[] = ['policy'],
): Promise<{ readonly id: string; readonly device: string; readonly result: Results[Asked['do']] }> {
  const { place, status } = await chooseService(choice, kinds)
  const connection = connectTo(place)
  try {
    return { id: place.id, device: status.devices.join(' and ') || status.name, result: await connection.ask(request) }
  } finally {
    connection.close()
  }
}
