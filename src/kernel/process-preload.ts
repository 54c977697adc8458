import { isMainThread } from 'node:worker_threads'
import { dieWithParent } from './process.js'

/** Loaded by `--import` before a lab child's own module; its workers load it too and need nothing. */
if (isMainThread) dieWithParent()
