/** Bytes of the heap that so many calls took, after as many to warm up; what was collected meanwhile lowers it. */
export function heapGrowth(calls: number, call: (n: number) => void): number {
  for (let n = 0; n < calls; n++) call(n)
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < calls; n++) call(n)
  return process.memoryUsage().heapUsed - before
}
