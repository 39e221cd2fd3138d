// The rows of the live table: all of them, then what changed. Pure: each step gives a new value and leaves the old one as it was.

export interface Identified { readonly session_id: string }
export interface Rows<Row extends Identified> { readonly rows: readonly Row[]; readonly total: number }
/** `order` is there when rows were added: all ids of the window. */
export interface Delta<Row extends Identified> {
  readonly changed?: readonly (Partial<Row> & Identified)[];
  readonly added?: readonly Row[];
  readonly removed?: readonly string[];
  readonly order?: readonly string[] | null;
  readonly total: number;
}

/** The rows after the delta. What changed of a row that we do not have is passed over: it is not in the window any more. */
export function applied<Row extends Identified>({ rows }: Rows<Row>, { changed = [], added = [], removed = [], order, total }: Delta<Row>): Rows<Row> {
  const changes = new Map(changed.map((part) => [part.session_id, part]));
  const gone = new Set(removed);
  const kept = removed.length ? rows.filter(({ session_id }) => !gone.has(session_id)) : rows;
  const next = changes.size ? kept.map((row) => { const part = changes.get(row.session_id); return part ? { ...row, ...part } : row; }) : kept;
  if (!order) {
    const known = new Set(added.length ? next.map(({ session_id }) => session_id) : []);
    return { rows: added.length ? [...added.filter(({ session_id }) => !known.has(session_id)), ...next] : next, total };
  }
  const byId = new Map([...next, ...added].map((row) => [row.session_id, row]));
  return { rows: order.map((id) => byId.get(id)).filter((row) => row !== undefined), total };
}
