/** Drops UDP to port 9 in the driver of a veth pair made for this, and reads the rule's counter. Needs root. */
import { execFileSync } from 'node:child_process'
import { attachXdp, compileRule, findDevice, loadProgram, ruleCountReader } from 'sluice'
import { closeNamespace, withNamespace } from 'sluice/kernel'
import { makePair } from './support/veth-pair.js'

const SEND = `
  const socket = require('node:dgram').createSocket('udp4')
  for (let n = 1; n <= 100; n++) socket.send('hello', n <= 70 ? 9 : 10, '192.0.2.2', () => n === 100 && socket.close())`

if (process.getuid?.() !== 0) {
  console.error('skipped: namespaces and programs need root, run it with sudo')
} else {
  const { near, far } = makePair()
  const program = loadProgram(compileRule({ match: 'udp dst port 9', action: 'drop' }).program)
  const link = withNamespace(far, () => attachXdp(program, findDevice('far')))
  withNamespace(near, () => execFileSync(process.execPath, ['-e', SEND]))
  const [count] = ruleCountReader(program.maps.get('rule_counters')!)()
  console.log(`attached in ${link.mode} mode; of 100 packets ${count!.packets} were dropped, ${count!.bytes} bytes`)
  link.close()
  program.close()
  closeNamespace(near)
  closeNamespace(far)
}
