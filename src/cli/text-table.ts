/** Tables of a terminal: columns as wide as their widest cell, colours that do not count as width. */

export interface Cell {
  readonly text: string
  /** Applied after padding has been computed. */
  readonly paint?: (text: string) => string
}

export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
}

/** Lines of a table, titles first; two spaces between columns, none at the end of a line. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paintTitle: (text: string) => string = (text) => text,
): string[] {
  const all = [columns.map(({ title }): Cell => ({ text: title, paint: paintTitle })), ...rows]
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]?.text.length ?? 0)))
  return all.map((row) =>
    columns
      .map(({ align }, i) => {
        const { text, paint = (plain: string) => plain } = row[i] ?? { text: '' }
        const padding = ' '.repeat((widths[i] ?? 0) - text.length)
        if (align === 'right') return padding + paint(text)
        return i === columns.length - 1 ? paint(text) : paint(text) + padding
      })
      .join('  ')
      .trimEnd(),
  )
}
