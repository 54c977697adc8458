import { type NetworkNamespace, readXdpFeatures, updateElement } from '../kernel/index.js'
import type { LoadedMap } from '../loader/index.js'

/** Devices to which the others could not redirect: each frame would be lost. */
export class RedirectError extends Error {
  override name = 'RedirectError'
}

/** Throws RedirectError: the driver must be able to send what others redirect to it; before Linux 6.3 nobody can say. */
export function checkTarget(
  { name, index }: { readonly name: string; readonly index: number },
  namespace?: NetworkNamespace,
): void {
  let features: ReturnType<typeof readXdpFeatures>
  try {
    features = readXdpFeatures(index, namespace)
  } catch {
    return
  }
  if (features.redirectTarget) return
  throw new RedirectError(
    `the driver of ${name} sends no frames of other devices: for a veth switch GRO on at its other end ("ethtool -K DEVICE gro on")`,
  )
}

/** Lets programs send to the device; called in its namespace. */
export function allowTarget(ports: LoadedMap, index: number): void {
  const key = new Uint8Array(Uint32Array.of(index).buffer)
  updateElement(ports.fd, key, key)
}
