// The search of the console's tables: qualifiers (`user:ada state:online,degraded age:>5m`) and words. The server searches; here the text is looked at
// while it is typed: what cannot be meant is named at once, and what could come next is offered. Pure.

export interface Qualifier {
  readonly name: string;
  readonly hint: string;
  /** The only values there are; several may stand with commas between them. */
  readonly values?: readonly string[];
  /** Takes a duration: `>5m`. */
  readonly isDuration?: boolean;
}
export interface Term { readonly qualifier: string; readonly value: string }
export interface Query { readonly terms: readonly Term[]; readonly problems: readonly string[] }
export interface Suggestion { readonly text: string; readonly hint: string }
export interface Completion { readonly from: number; readonly to: number; readonly suggestions: readonly Suggestion[] }

const DURATION = /^[<>]\d{1,9}[smhd]$/;
const DURATIONS = [">5m", ">1h", ">1d", "<5m", "<1h"];
const SUGGESTIONS_MAX = 8;
export const QUERY_MAX = 500;

interface Piece { readonly text: string; readonly from: number; readonly to: number }

/** Parts between blanks; a blank within double quotes separates nothing. A quote that is not closed goes to the end. */
function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = -1;
  let isQuoted = false;
  for (let at = 0; at <= text.length; at += 1) {
    const sign = text[at];
    const isEnd = sign === undefined || (!isQuoted && /\s/.test(sign));
    if (sign === '"') isQuoted = !isQuoted;
    if (isEnd && from >= 0) {
      found.push({ text: text.slice(from, at), from, to: at });
      from = -1;
    } else if (!isEnd && from < 0) from = at;
  }
  return found;
}

const unquoted = (text: string): string => text.replaceAll('"', "");
const quoted = (value: string): string => /[\s":]/.test(value) ? `"${unquoted(value)}"` : value;

/** The qualifier at the beginning of a part, and what stands behind its colon. */
function divided(piece: string, qualifiers: readonly Qualifier[]): readonly [Qualifier, string] | null {
  const colon = piece.indexOf(":");
  const known = colon > 0 ? qualifiers.find(({ name }) => name === piece.slice(0, colon)) : undefined;
  return known ? [known, piece.slice(colon + 1)] : null;
}

function problemOf({ name, values, isDuration }: Qualifier, value: string): string | null {
  if (isDuration) return DURATION.test(value) ? null : `${name}: takes a duration such as >5m or <2h.`;
  const wrong = values && value.split(",").find((part) => !values.includes(part));
  return wrong === undefined ? null : `${name}: there is no "${wrong}"; it is one of ${values!.join(", ")}.`;
}

/** What somebody typed, as terms. A word has the qualifier "". What cannot be meant is named in `problems` and left out; nothing is thrown. */
export function parse(text: string, qualifiers: readonly Qualifier[]): Query {
  const terms: Term[] = [];
  const problems: string[] = [];
  for (const { text: piece } of pieces(text.slice(0, QUERY_MAX))) {
    const [qualifier, raw] = divided(piece, qualifiers) ?? [null, piece];
    const value = unquoted(raw);
    const problem = qualifier && (value ? problemOf(qualifier, value) : `${qualifier.name}: has no value yet.`);
    if (problem) problems.push(problem);
    else if (value) terms.push({ qualifier: qualifier?.name ?? "", value });
  }
  return { terms, problems };
}

/** The text as the server takes it: one blank between terms, quotes only where they are needed. */
export const written = ({ terms }: Query): string =>
  terms.map(({ qualifier, value }) => (qualifier ? `${qualifier}:` : "") + quoted(value)).join(" ");

/** What could stand at the caret: names of qualifiers, or values of the one that is there. `values` gives what is known of a qualifier. */
export function complete(text: string, caret: number, qualifiers: readonly Qualifier[], values: (qualifier: string) => readonly string[]): Completion {
  const { text: piece, from, to } = pieces(text).find((one) => one.from <= caret && caret <= one.to) ?? { text: "", from: caret, to: caret };
  const parts = divided(piece, qualifiers);
  if (!parts) {
    const begun = piece.toLowerCase();
    return { from, to, suggestions: qualifiers.filter(({ name }) => name.startsWith(begun)).map(({ name, hint }) => ({ text: `${name}:`, hint })) };
  }
  const [{ name, values: fixed, isDuration }, raw] = parts;
  const earlier = fixed ? raw.slice(0, raw.lastIndexOf(",") + 1) : "";
  const begun = unquoted(raw.slice(earlier.length)).toLowerCase();
  const taken = new Set(earlier.split(","));
  const offered = isDuration ? DURATIONS : (fixed ?? [...new Set(values(name))].sort());
  const fitting = offered.filter((value) => value.toLowerCase().includes(begun) && value.toLowerCase() !== begun && !taken.has(value));
  const isFirst = (value: string): number => Number(!value.toLowerCase().startsWith(begun));
  const suggestions = fitting.toSorted((left, right) => isFirst(left) - isFirst(right)).slice(0, SUGGESTIONS_MAX);
  return { from, to, suggestions: suggestions.map((value) => ({ text: `${name}:${earlier}${quoted(value)} `, hint: "" })) };
}

/** The text with the suggestion in it, and where the caret goes. */
export function completed(text: string, { from, to }: Completion, { text: chosen }: Suggestion): { readonly text: string; readonly caret: number } {
  return { text: text.slice(0, from) + chosen + text.slice(to).trimStart(), caret: from + chosen.length };
}

/** `text` with the term in it, or without it when it is there: what a click on a value does. */
export function toggled(text: string, qualifier: string, value: string): string {
  const term = `${qualifier}:${quoted(value)}`;
  const rest = pieces(text).map((piece) => piece.text);
  return (rest.includes(term) ? rest.filter((piece) => piece !== term) : [...rest, term]).join(" ");
}
