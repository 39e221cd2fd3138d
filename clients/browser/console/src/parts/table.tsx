// A table of any length: only what can be seen is in the page. Rows have one height, set by the style sheet.
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { scrolledTo, type Viewport, windowOf } from "../virtual";

export interface Column<Row> { readonly name: string; readonly label: ComponentChildren; readonly cell: (row: Row) => ComponentChildren; /** Left out where there is little room: 1 first. */ readonly gives?: 1 | 2 | 3 }
interface Given<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  /** Rows there are in all, those that are not loaded included. */
  readonly total: number;
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  readonly active: string | null;
  readonly isSelected?: ((row: Row) => boolean) | undefined;
  readonly onActivate: (row: Row) => void;
  /** Somebody has scrolled to the last rows that are loaded. */
  readonly onEnd?: () => void;
}

export const ROW_HEIGHT = 40;
const HEAD_HEIGHT = 40;
const END_ROWS = 10;

interface Drawn<Row> { readonly row: Row; readonly index: number; readonly isActive: boolean; readonly isSelected: boolean; readonly node: VNode }
const DRAWN_MAX = 500;

/** Rows as they were drawn last, while nothing about them is different: Preact passes over a node that it has seen. Scrolling draws the rows that come into view, and no others. */
function useDrawn<Row>({ columns, keyOf, active, isSelected, onActivate }: Pick<Given<Row>, "columns" | "keyOf" | "active" | "isSelected" | "onActivate">): (row: Row, index: number) => VNode {
  const kept = useRef<{ readonly columns: readonly Column<Row>[]; readonly byKey: Map<string, Drawn<Row>> }>({ columns, byKey: new Map() });
  const activate = useRef(onActivate);
  activate.current = onActivate;
  if (kept.current.columns !== columns || kept.current.byKey.size > DRAWN_MAX) kept.current = { columns, byKey: new Map() };
  const { byKey } = kept.current;
  return (row, index) => {
    const key = keyOf(row);
    const [isActive, isChosen] = [key === active, isSelected?.(row) ?? false];
    const known = byKey.get(key);
    if (known && known.row === row && known.index === index && known.isActive === isActive && known.isSelected === isChosen) return known.node;
    const node = (
      <tr key={key} aria-rowindex={index + 2} class={isActive ? "active" : ""} data-row={key} data-selected={isChosen || undefined} onClick={() => activate.current(row)}>
        {columns.map((column) => <td key={column.name} class={`c-${column.name}`} data-gives={column.gives}>{column.cell(row)}</td>)}
      </tr>
    );
    byKey.set(key, { row, index, isActive, isSelected: isChosen, node });
    return node;
  };
}

export function Table<Row>({ label, rows, total, columns, keyOf, active, isSelected, onActivate, onEnd }: Given<Row>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [viewport, setViewport] = useState<Viewport>({ scrollTop: 0, height: 600, rowHeight: ROW_HEIGHT });
  const look = (): void => {
    if (!scroller.current) return; // a last event of a table that has gone
    const { scrollTop, clientHeight } = scroller.current;
    setViewport((before) => (before.scrollTop === scrollTop && before.height === clientHeight ? before : { scrollTop, height: clientHeight, rowHeight: ROW_HEIGHT }));
  };
  useLayoutEffect(look, []);
  useEffect(() => {
    const watcher = new ResizeObserver(look);
    watcher.observe(scroller.current!);
    return () => watcher.disconnect();
  }, []);
  const index = active === null ? -1 : rows.findIndex((row) => keyOf(row) === active);
  useEffect(() => {
    const { scrollTop, clientHeight: height } = scroller.current!;
    if (index >= 0) scroller.current!.scrollTop = scrolledTo(index, { scrollTop, height, rowHeight: ROW_HEIGHT }, HEAD_HEIGHT);
  }, [active]);
  const drawn = useDrawn({ columns, keyOf, active, isSelected, onActivate });
  const { from, to, before, after } = windowOf(rows.length, viewport);
  const isAtEnd = rows.length < total && to > rows.length - END_ROWS;
  useEffect(() => { if (isAtEnd) onEnd?.(); }, [isAtEnd, rows.length]);
  return (
    <div class="scroller" ref={scroller} onScroll={look} tabIndex={0} role="region" aria-label={label}>
      <table aria-rowcount={total + 1} aria-label={label}>
        <thead><tr aria-rowindex={1}>{columns.map((column) => <th key={column.name} scope="col" class={`c-${column.name}`} data-gives={column.gives}>{column.label}</th>)}</tr></thead>
        <tbody>
          {before > 0 && <tr aria-hidden="true" class="spacer"><td style={{ height: `${before}px` }} /></tr>}
          {rows.slice(from, to).map((row, offset) => drawn(row, from + offset))}
          {after > 0 && <tr aria-hidden="true" class="spacer"><td style={{ height: `${after}px` }} /></tr>}
        </tbody>
      </table>
    </div>
  );
}
