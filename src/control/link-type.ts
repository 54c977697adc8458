import { LINK_TYPES } from '../ir/index.js'

/** Rules cannot be compiled for packets of this link type: one sentence with those they can be compiled for. */
export class LinkTypeError extends Error {
  override name = 'LinkTypeError'
}

/** Throws LinkTypeError unless rules can be compiled for `linkType`; `where` says who asked for it. */
export function checkLinkType(linkType: string, where: string): void {
  if (LINK_TYPES.has(linkType)) return
  const known = [...LINK_TYPES.keys()].join(', ')
  throw new LinkTypeError(`${where}: rules cannot be compiled for link type ${linkType}, only for ${known}`)
}
