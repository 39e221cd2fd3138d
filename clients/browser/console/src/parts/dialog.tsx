// Before something happens that cannot be taken back: what and how many, why (for the audit), and typed words when it is many.
import { type Signal, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";

export interface Question {
  /** "End 3 sessions?" */
  readonly title: string;
  /** What is cut, and what is not. */
  readonly text: ComponentChildren;
  /** The button: "End 3 sessions". */
  readonly action: string;
  readonly isDangerous?: boolean;
  /** Must be typed before the button works. */
  readonly typed?: string;
  readonly needsReason?: boolean;
  /** Runs when it was confirmed. A rejection is shown in the dialog, which stays. */
  readonly run: (reason: string) => Promise<void>;
  /** The same question of another number: there are more by now than were asked about. */
  readonly again?: (count: number) => Question;
  /** What was typed as the reason before it had to be asked again, and why it had to be. */
  readonly before?: { readonly reason: string; readonly problem: string };
}

/** More than so many at once have to be typed. */
export const TYPED_ABOVE = 20;
export const REASON_MAX = 200;
export const question: Signal<Question | null> = signal(null);
export const ask = (asked: Question): void => { question.value = asked; };

export function Dialog({ label, onClose, children, isWide = false }: { readonly label: string; readonly onClose: () => void; readonly children: ComponentChildren; readonly isWide?: boolean }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  // A second Escape closes a dialog whatever its page says of the first (the HTML standard's close watchers): one that waits for an answer is shown again.
  const closed = (): void => {
    element.current?.showModal();
    if (element.current) onClose();
  };
  return <dialog ref={element} aria-label={label} class={isWide ? "wide" : ""} onCancel={(event) => { event.preventDefault(); onClose(); }} onClose={closed}>{children}</dialog>;
}

export function Confirmation() {
  const asked = question.value;
  return asked && <Asked key={asked.title} {...asked} />;
}

function Asked({ title, text, action, isDangerous, typed, needsReason = true, run, again, before }: Question) {
  const [reason, setReason] = useState(before?.reason ?? "");
  const [words, setWords] = useState("");
  const [problem, setProblem] = useState(before?.problem ?? "");
  const [isRunning, setRunning] = useState(false);
  const isReady = (!needsReason || reason.trim().length > 0) && (typed === undefined || words.trim() === typed) && !isRunning;
  const close = (): void => { if (!isRunning) question.value = null; };
  const confirmed = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!isReady) return;
    setRunning(true);
    setProblem("");
    try {
      await run(reason.trim());
      question.value = null;
    } catch (error) {
      const count = again && error instanceof ApiError && error.code === "confirmation_needed" ? Number(error.fields["count"]) : NaN;
      if (again && count > 0) {
        question.value = { ...again(count), before: { reason, problem: "Their number has changed meanwhile. Confirm this one." } };
        return;
      }
      setProblem(error instanceof Error ? error.message : String(error));
      setRunning(false);
    }
  };
  return (
    <Dialog label={title} onClose={close}>
      <form onSubmit={confirmed} data-testid="confirm">
        <h2>{title}</h2>
        <div class="dialog-text">{text}</div>
        {needsReason && <label class="field">Reason <span class="hint">kept in the audit log</span>
          <input name="reason" value={reason} maxLength={REASON_MAX} required autocomplete="off" autofocus onInput={(event) => setReason(event.currentTarget.value)} data-testid="confirm-reason" />
        </label>}
        {typed !== undefined && <label class="field">Type <code>{typed}</code> to go on
          <input name="typed" value={words} required autocomplete="off" spellcheck={false} onInput={(event) => setWords(event.currentTarget.value)} data-testid="confirm-typed" />
        </label>}
        <p class="form-problem" role="alert">{problem}</p>
        <div class="actions">
          <button type="button" onClick={close} data-testid="confirm-cancel">Cancel</button>
          <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={!isReady} data-testid="confirm-go">{isRunning ? "Working…" : action}</button>
        </div>
      </form>
    </Dialog>
  );
}
