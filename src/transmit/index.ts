/** What stands before a transmit ring: queues between threads, queueing disciplines, byte limits and the doorbell. */
export {
  type Discipline,
  fifo,
  fqCodel,
  mostPackets,
  priority,
  type TokenBucketSettings,
  tokenBucket,
} from './discipline.js'
export type { Doorbell } from './doorbell.js'
export { openProducer } from './producer.js'
export { openQueue, type Queue, type QueueOptions, type QueueStatistics } from './queue.js'
export { QUEUE_REASONS } from './queue-memory.js'
export {
  type AtomicCounts,
  attachConsumer,
  attachProducer,
  createSharedQueue,
  type Locking,
  packetsInQueue,
  type SharedConsumer,
  type SharedProducer,
  type SharedQueue,
  type SharedQueuePlace,
} from './shared-queue.js'
export { readQueue, TOLD_QUEUE_BYTES } from './told-queue.js'
