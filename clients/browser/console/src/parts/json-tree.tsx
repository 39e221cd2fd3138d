// A JSON value as a tree that opens and closes. Everything a user wrote is a text node.
import { useState } from "preact/hooks";
import { type Json, summary } from "../difference";

const SHOWN_MAX = 200;
const OPEN_DEPTH = 2;

function Leaf({ value }: { readonly value: Json }) {
  const kind = value === null ? "null" : typeof value;
  return <span class={`json-${kind}`}>{JSON.stringify(value)}</span>;
}

function Branch({ name, value, depth }: { readonly name: string | null; readonly value: readonly Json[] | { readonly [key: string]: Json }; readonly depth: number }) {
  const [limit, setLimit] = useState(SHOWN_MAX);
  const [isOpen, setOpen] = useState(depth < OPEN_DEPTH);
  const entries = Object.entries(value);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{name !== null && <span class="json-key">{name}</span>} <span class="json-size">{summary(value)}</span></summary>
      {isOpen && <ul>
        {entries.slice(0, limit).map(([key, child]) => <li key={key}><Node name={key} value={child} depth={depth + 1} /></li>)}
        {entries.length > limit && <li><button type="button" class="quiet" onClick={() => setLimit(limit + SHOWN_MAX)}>{entries.length - limit} more</button></li>}
      </ul>}
    </details>
  );
}

function Node({ name, value, depth }: { readonly name: string | null; readonly value: Json; readonly depth: number }) {
  if (typeof value === "object" && value !== null && Object.keys(value).length) return <Branch name={name} value={value} depth={depth} />;
  return <span class="json-line">{name !== null && <span class="json-key">{name}</span>} <Leaf value={value} /></span>;
}

export const JsonTree = ({ value }: { readonly value: Json }) => <div class="json"><Node name={null} value={value} depth={0} /></div>;
