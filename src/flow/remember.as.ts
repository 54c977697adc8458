import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_FLAGS,
} from '../memory/formats'
import { keepDecision } from './remembered.inline.as'

/** Remembers of each packet of the bundle how it leaves; `ports` is the number of the port + 16 * that it came by. */
export function remember(flows: u32, bundle: u32, ports: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    keepDecision(flows, load<u32>(at, DESCRIPTOR_ADDRESS), load<u32>(at, DESCRIPTOR_FLAGS), ports)
  }
}
