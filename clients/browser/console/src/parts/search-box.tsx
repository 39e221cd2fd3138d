// The search field: qualifiers with completion, by keyboard or pointer (the combobox pattern of WAI-ARIA).
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { query, setQuery } from "../router";
import { complete, completed, parse, type Qualifier, type Suggestion, written } from "../search";

interface Given {
  readonly label: string;
  readonly value: string;
  readonly qualifiers: readonly Qualifier[];
  readonly values: (qualifier: string) => readonly string[];
  readonly problems: readonly string[];
  readonly onChange: (value: string) => void;
}

const TYPING_MS = 250;

/** What is typed goes into the address when nobody has typed for a moment and it can be meant; what comes from elsewhere into the address (a link, the way back) goes into the field. */
export function useSearch(qualifiers: readonly Qualifier[]): { readonly text: string; readonly setText: (text: string) => void; readonly problems: readonly string[]; readonly q: string } {
  const q = query.value.get("q") ?? "";
  const [text, setText] = useState(q);
  const own = useRef(q);
  const parsed = useMemo(() => parse(text, qualifiers), [text, qualifiers]);
  useEffect(() => {
    if (q !== own.current) setText(q);
    own.current = q;
  }, [q]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (parsed.problems.length) return;
      own.current = written(parsed);
      setQuery({ q: own.current });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [parsed]);
  return { text, setText, problems: parsed.problems, q };
}

export function SearchBox({ label, value, qualifiers, values, problems, onChange }: Given) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [caret, setCaret] = useState<number | null>(null);
  const [active, setActive] = useState(-1);
  const completion = caret === null ? null : complete(value, caret, qualifiers, values);
  const suggestions = completion?.suggestions ?? [];
  const look = (): void => { setCaret(input.current?.selectionStart ?? null); setActive(-1); };
  const take = (suggestion: Suggestion): void => {
    const done = completed(value, completion!, suggestion);
    // At once: who types on must not find the caret moved a frame later.
    const field = input.current!;
    field.value = done.text;
    field.focus();
    field.setSelectionRange(done.caret, done.caret);
    onChange(done.text);
    setActive(-1);
    setCaret(done.caret);
  };
  const pressed = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step && suggestions.length) setActive((active + step + suggestions.length + (active < 0 && step < 0 ? 1 : 0)) % suggestions.length);
    else if (event.key === "Enter" && suggestions[active]) take(suggestions[active]);
    else if (event.key === "Escape" && suggestions.length) { setCaret(null); event.stopPropagation(); }
    else if (event.key === "Escape") input.current?.blur();
    else return;
    event.preventDefault();
  };
  const isOpen = suggestions.length > 0;
  return (
    <div class="search">
      <input ref={input} type="search" role="combobox" list={undefined} aria-label={label} aria-expanded={isOpen} aria-controls={`${id}-list`} aria-autocomplete="list"
        aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined} aria-describedby={`${id}-problem`} placeholder={`${label}: ${qualifiers.slice(0, 3).map(({ name }) => `${name}:`).join(" ")} …`}
        autocomplete="off" autocapitalize="off" spellcheck={false} maxLength={500} value={value} data-testid="search"
        onInput={(event) => { onChange(event.currentTarget.value); look(); }} onFocus={look} onClick={look} onBlur={() => setCaret(null)} onKeyDown={pressed} />
      <ul role="listbox" id={`${id}-list`} aria-label="Suggestions" hidden={!isOpen}>
        {suggestions.map((suggestion, index) => (
          <li key={suggestion.text} id={`${id}-${index}`} role="option" aria-selected={index === active} onMouseDown={(event) => { event.preventDefault(); take(suggestion); }}>
            <code>{suggestion.text}</code> <span class="hint">{suggestion.hint}</span>
          </li>
        ))}
      </ul>
      <p class="form-problem" role="status" id={`${id}-problem`}>{problems.join(" ")}</p>
    </div>
  );
}
