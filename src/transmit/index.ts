/** What stands before a transmit ring: queues between threads, queueing disciplines, byte limits and the doorbell. */
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
