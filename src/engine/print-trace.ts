import type { PacketChange, TraceStep } from './follow.js'
import type { TracedPacket } from './trace.js'

/** A traced packet as text: what came, then a line for each step. */
export function printTrace({ number, device, lengthBytes, flags, begin, steps }: TracedPacket): string {
  const what = [`${lengthBytes} bytes from ${device}`, ...flags].join(', ')
  return [`${number}: ${what}: ${begin}\n`, ...steps.map((step) => `   ${printStep(step)}\n`)].join('')
}

function printStep(step: TracedPacket['steps'][number]): string {
  const at = step.worker === undefined ? step.stage : `${step.worker}: ${step.stage}`
  const several = step.packets === 1 ? '' : `${step.packets} packets `
  switch (step.went) {
    case 'output': {
      const notes = notesOf(step)
      return `${at} ─ ${step.output} ─▶ ${step.to}${notes.length === 0 ? '' : `: ${notes.join(', ')}`}`
    }
    case 'sent':
      return `${at}: ${several}sent`
    case 'dropped':
      return `${at}: ${several}dropped${step.device === null ? '' : ` by ${step.device}`}, ${step.reason}`
    case 'kept':
      return `${at}: ${several}kept`
    case 'merged': {
      const host = step.into === null ? 'an earlier packet' : `packet ${step.into}`
      return `${at}: ${several}merged into ${host}, which has ${step.lengthBytes} bytes now`
    }
  }
}

type OutputStep = TraceStep & { readonly went: 'output' }

function notesOf(step: OutputStep): string[] {
  if (step.released !== null)
    return [step.released === 'round' ? 'at the end of the round' : 'when another packet came', lengthsOf(step)]
  if (!step.isSame) return [printOthers(step)]
  return [...(step.packets === 1 ? [] : [`${step.packets} packets`]), ...printChange(step.change)]
}

function printOthers(step: OutputStep): string {
  return step.packets === 1
    ? `in another frame, ${lengthsOf(step)}`
    : `${step.packets} packets in other frames, of ${lengthsOf(step)}`
}

const lengthsOf = ({ lengthBytes }: OutputStep) => `${[...new Set(lengthBytes)].join(', ')} bytes`

function printChange({ lengthBytes, flags, bytes }: PacketChange): string[] {
  return [
    ...(lengthBytes === undefined ? [] : [`${lengthBytes[1]} bytes instead of ${lengthBytes[0]}`]),
    ...(flags === undefined ? [] : [`now ${flags[1].join(', ') || 'nothing left to do'}`]),
    ...(bytes === undefined ? [] : [`bytes ${bytes[0]} to ${bytes[1]} changed`]),
  ]
}
