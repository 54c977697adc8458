import { type ServedEngine, serveEngine } from '../control/service/engine-service.js'
import type { ControlSocket } from '../control/service/listen.js'
import { note } from './output.js'

/** Lets others look at the command's engine; without a place for the socket it does its work all the same. */
export async function openEngineControl(served: ServedEngine): Promise<ControlSocket | null> {
  try {
    return await serveEngine(served)
  } catch (error) {
    note(`warning: sluice status and top will not see this: ${(error as Error).message}`)
    return null
  }
}
