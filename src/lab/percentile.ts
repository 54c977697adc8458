/** The nearest-rank percentile (0 to 100) of `samples`; null where there are none. */
export function percentile(samples: readonly number[], rank: number): number | null {
  if (samples.length === 0) return null
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)]!
}
