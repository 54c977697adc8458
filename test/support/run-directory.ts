import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where services that tests start have their control sockets: one directory a test file, gone with it. */
export const RUN_DIRECTORY = mkdtempSync(join(tmpdir(), 'sluice-run-'))

process.env['SLUICE_RUN_DIR'] = RUN_DIRECTORY
process.on('exit', () => rmSync(RUN_DIRECTORY, { recursive: true, force: true }))
