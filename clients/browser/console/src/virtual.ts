// Which rows of a long table are drawn: what can be seen and a few on either side. Pure.

export interface Viewport { readonly scrollTop: number; readonly height: number; readonly rowHeight: number }
/** Rows `from` up to, not including, `to`; `before` and `after` are the pixels that stand for the others. */
export interface Window { readonly from: number; readonly to: number; readonly before: number; readonly after: number }

export const OVERSCAN = 8;

/** Rows to draw of `count`. A position beyond the end (rows have gone) is taken as the end. */
export function windowOf(count: number, { scrollTop, height, rowHeight }: Viewport, overscan: number = OVERSCAN): Window {
  if (count <= 0 || rowHeight <= 0) return { from: 0, to: 0, before: 0, after: 0 };
  const visible = Math.ceil(Math.max(0, height) / rowHeight) + 1;
  const first = Math.max(0, Math.min(Math.floor(Math.max(0, scrollTop) / rowHeight), count - visible));
  const from = Math.max(0, first - overscan);
  const to = Math.min(count, first + visible + overscan);
  return { from, to, before: from * rowHeight, after: (count - to) * rowHeight };
}

/** Where to scroll so that the row is seen; the same place when it is. `head` is what a sticky header covers. */
export function scrolledTo(index: number, { scrollTop, height, rowHeight }: Viewport, head = 0): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  const bottom = top + rowHeight + head;
  return bottom > scrollTop + height ? bottom - height : scrollTop;
}
