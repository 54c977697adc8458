import type { Stage } from '../../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../../src/memory/index.js'
import { NOTE_HOP_BEFORE, NOTE_PORT_BEFORE, NOTE_REASON_BEFORE } from '../../src/route/index.js'

/** What `forward` notes about a packet. */
export interface Note {
  readonly reason: number
  readonly port: number
  readonly hop: number
}

/** The stage, whose packets are noted as `noteOf` says before it has them. */
export function noted(stage: Stage, noteOf: (packet: Uint8Array) => Note): Stage {
  return {
    ...stage,
    start(host) {
      const running = stage.start(host)
      const { words, bytes, memory } = host.space
      const view = new DataView(memory.buffer)
      return {
        ...running,
        run(bundle) {
          for (let index = 0; index < words[bundle / 4]!; index++) {
            const at = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) / 4
            const packet = words[at + DESCRIPTOR_ADDRESS / 4]!
            const note = noteOf(bytes.slice(packet, packet + words[at + DESCRIPTOR_CAPTURED / 4]!))
            bytes[packet - NOTE_REASON_BEFORE] = note.reason
            bytes[packet - NOTE_PORT_BEFORE] = note.port
            view.setUint32(packet - NOTE_HOP_BEFORE, note.hop, true)
          }
          running.run(bundle)
        },
      }
    },
  }
}
