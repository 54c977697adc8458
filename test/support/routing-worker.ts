import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { forward, type RoutesPlace } from '../../src/route/index.js'
import { discard } from '../../src/stages/index.js'

/** A worker that routes what comes, by tables that another thread writes; all that it forwards goes back. */
export const routing = planWorkers<RoutesPlace>(
  import.meta.url,
  {
    router: {
      to: ['main'],
      graph({ from, to }, tables) {
        const back = send(to('main'))
        const ports = Array.from({ length: tables.ports }, (_, port) => [`route.port ${port}`, back] as const)
        return draw(
          [receive(from('main')), forward('route', tables, { inPort: 0 })],
          ...ports,
          ['route.local', discard('local')],
          ['route.unresolved', discard('unresolved')],
          ['route.errors', discard('errors')],
        )
      },
    },
  },
  ['router'],
)
