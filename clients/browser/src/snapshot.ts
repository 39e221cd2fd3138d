/** Objects that stay the same for as long as what is in them does, as stores for user interfaces have to give them. */

/** `last` if every member of `now` is the same in it, else `now`. */
export const kept = <T extends object>(last: T | null, now: T): T =>
  last && Object.entries(now).every(([key, value]) => Object.is(value, last[key as keyof T])) ? last : now;
