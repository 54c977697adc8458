import { type Commands, runCommandLine } from './command-line.js'

/** One module a command, loaded only when it is asked for: a rule is to drop packets 100 ms after Enter. */
const COMMANDS: Commands = {
  demo: async () => (await import('./demo.js')).demoCommand(),
  match: async () => (await import('./match.js')).matchCommand(),
  replay: async () => (await import('./replay.js')).replayCommand(),
  generate: async () => (await import('./generate.js')).generateCommand(),
  compile: async () => (await import('./compile.js')).compileCommand(),
  explain: async () => (await import('./explain.js')).explainCommand(),
  drop: async () => (await import('./drop.js')).dropCommand(),
  protect: async () => (await import('./protect.js')).protectCommand(),
  route: async () => (await import('./route.js')).routeCommand(),
  bridge: async () => (await import('./bridge.js')).bridgeCommand(),
  status: async () => (await import('./status.js')).statusCommand(),
  list: async () => (await import('./list.js')).listCommand(),
  top: async () => (await import('./top.js')).topCommand(),
  trace: async () => (await import('./trace.js')).traceCommand(),
  capture: async () => (await import('./capture.js')).captureCommand(),
  flows: async () => (await import('./flows.js')).flowsCommand(),
  hook: async () => (await import('./hook.js')).hookCommand(),
  add: async () => (await import('./add.js')).addCommand(),
  remove: async () => (await import('./remove.js')).removeCommand(),
  doctor: async () => (await import('./doctor.js')).doctorCommand(),
}

void runCommandLine(COMMANDS)
