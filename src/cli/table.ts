import Table from 'cli-table3'

type Cell = string | number

/** Rows below a head; numbers stand at the right, also those with a unit. Every row has as many cells as the head. */
export function drawTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const isNumber = (column: number) => {
    const cells = rows.map((row) => String(row[column])).filter((cell) => cell !== '' && cell !== '-')
    return cells.length > 0 && cells.every((cell) => /^[\d.]+( [kMGT]?B?)?$/.test(cell))
  }
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (isNumber(column) ? 'right' : 'left')),
    // No line between two rows.
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style: { head: [], border: [] },
  })
  for (const row of rows) table.push([...row])
  return table.toString()
}
