import type { Random } from './random.js'

const RELATIONS = ['=', '!=', '<', '<=', '>', '>='] as const

/**
 * Several questions about one field, with masks of few bits and wanted bits
 * inside and outside of them: what one answer says about the next is where an
 * optimiser errs.
 */
export function randomQuestions(random: Random): string {
  const access = `${random.pick(['ether', 'ip', 'ip', 'tcp'])}[${random.pick([0, 6, 8, 9, 13])}]`
  const bit = 1 << random.below(8)
  const questions = Array.from({ length: 2 + random.below(3) }, () => {
    const mask = random.pick([bit, bit, bit | 1, bit | 0x12, 0xff])
    const relation = random.pick(['=', '!=', random.pick(RELATIONS)])
    const question = `${access} & ${mask} ${relation} ${random.pick([0, bit, bit ^ 1, bit << 1, 0x12])}`
    return random.below(4) === 0 ? `not (${question})` : `(${question})`
  })
  return `(${questions.reduce((text, question) => `${text} ${random.pick(['and', 'or'])} ${question}`)})`
}

/** What some link types have and others do not, or what all have. */
