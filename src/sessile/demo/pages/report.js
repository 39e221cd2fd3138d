/** What the report consists of: the names of its steps and fields. */

const REPORT = "incident-report";
const COPIES = `${REPORT}/`;

/** The document that this page shows: the report, or the copy that its address names. */
export const NAME = new URLSearchParams(location.search).get("document") ?? REPORT;

export const isReport = (name) => name === REPORT || name.startsWith(COPIES);
export const copyName = (title) => COPIES + title;
/** What people call it. */
export const titleOf = (name) => (name === REPORT ? "The report" : name.slice(COPIES.length));

export const STEPS = ["What happened", "When and where", "People", "Damage and evidence", "Missing facts", "Review and send"];
export const GAPS_STEP = 5;
export const LAST_STEP = STEPS.length;

/** Path, step, label; in the order of the review. */
const FIELDS = [
  ["/report/title", 1, "Title"],
  ["/report/kind", 1, "Kind of incident"],
  ["/report/what", 1, "What happened"],
  ["/report/date", 2, "Day"],
  ["/report/time", 2, "Time"],
  ["/report/place", 2, "Place"],
  ["/report/phone", 3, "Your phone number"],
  ["/report/injured", 3, "Was anybody hurt"],
  ["/report/injuries", 3, "Who was hurt, and how"],
  ["/people", 3, "Witnesses and others"],
  ["/report/damage", 4, "Damaged or lost"],
  ["/report/cost", 4, "Estimated cost"],
  ["/report/police_reference", 4, "Police reference"],
  ["/report/facts", 4, "Notes"],
  ["/attachments", 4, "Text files"],
];

export const fieldsOfStep = (step) => FIELDS.filter((field) => field[1] === step).map(([path, , label]) => ({ path, label }));

/** What people call a path; null for what they did not write themselves. */
export const labelOf = (path) => FIELDS.find(([known]) => known === path || path.startsWith(`${known}/`))?.[2] ?? null;

export const stepOf = (path) => FIELDS.find(([known]) => known === path || path.startsWith(`${known}/`))?.[1] ?? null;

const CHOICES = {
  "/report/kind": { water: "Water", fire: "Fire", theft: "Theft", vehicle: "Vehicle", injury: "Injury, no damage", other: "Something else" },
  "/report/injured": { no: "No", yes: "Yes", unknown: "I do not know" },
};

/** A value as people read it. */
export function shown(path, value) {
  if (value === undefined || value === null || value === "") return "(nothing)";
  if (Array.isArray(value)) return value.length === 0 ? "(nothing)" : value.map((item) => shown("", item?.name ?? item)).join(", ");
  if (typeof value === "object") return Object.values(value).map((item) => shown("", item)).join(", ");
  return CHOICES[path]?.[value] ?? String(value);
}
