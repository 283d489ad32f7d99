/** What business the page is in: the last event of `business`, for errors that happen during it. */

let last: string | undefined;

/** This happens now. */
export function enter(event: string): void {
  last = event;
}

/** What happened last. */
export function lastBusinessEvent(): string | undefined {
  return last;
}
