import type { PacketChange, TraceStep } from './follow.js'
import type { TracedPacket } from './trace.js'

/** A traced packet as text: what came, then a line for each step. */
export function printTrace({ number, device, lengthBytes, flags, begin, steps }: TracedPacket): string {
  const what = [`${lengthBytes} bytes from ${device}`, ...flags].join(', ')
  return [`${number}: ${what}: ${begin}\n`, ...steps.map((step) => `   ${printStep(step)}\n`)].join('')
}

function printStep(step: TraceStep): string {
  const several = step.packets === 1 ? '' : `${step.packets} packets `
  switch (step.went) {
    case 'output': {
      const notes = step.isSame ? [...noteSeveral(step.packets), ...printChange(step.change)] : [printOthers(step)]
      return `${step.stage} ─ ${step.output} ─▶ ${step.to}${notes.length === 0 ? '' : `: ${notes.join(', ')}`}`
    }
    case 'sent':
      return `${step.stage}: ${several}sent`
    case 'dropped':
      return `${step.stage}: ${several}dropped${step.device === null ? '' : ` by ${step.device}`}, ${step.reason}`
    case 'kept':
      return `${step.stage}: ${several}kept`
  }
}

const noteSeveral = (packets: number) => (packets === 1 ? [] : [`${packets} packets`])

function printOthers({ packets, lengthBytes }: TraceStep & { readonly went: 'output' }): string {
  const lengths = [...new Set(lengthBytes)].join(', ')
  return packets === 1
    ? `in another frame, ${lengths} bytes`
    : `${packets} packets in other frames, of ${lengths} bytes`
}

function printChange({ lengthBytes, flags, bytes }: PacketChange): string[] {
  return [
    ...(lengthBytes === undefined ? [] : [`${lengthBytes[1]} bytes instead of ${lengthBytes[0]}`]),
    ...(flags === undefined ? [] : [`now ${flags[1].join(', ') || 'nothing left to do'}`]),
    ...(bytes === undefined ? [] : [`bytes ${bytes[0]} to ${bytes[1]} changed`]),
  ]
}
