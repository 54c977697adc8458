const UNITS = ['', 'k', 'M', 'G', 'T']

/** A count in three digits with a unit of thousands: `1234567` as `1.23 M`, `999999` as `1.00 M`, `7` as `7 `. */
export function formatQuantity(value: number): string {
  let unit = 0
  while (Number(value.toPrecision(3)) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${UNITS[unit]}`
}
