import { type ControlSocket, listen } from '../control/service/listen.js'
import type { Service } from '../control/service/service.js'
import { note } from './output.js'

/**
 * Has the command answer others, once its rules are in force. Without a place
 * for the socket it does its work all the same.
 */
export async function openControl(service: Service): Promise<ControlSocket | null> {
  try {
    return await listen(service)
  } catch (error) {
    note(`warning: sluice status, list and top will not see this: ${(error as Error).message}`)
    return null
  }
}
