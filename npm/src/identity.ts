/**
 * Who events belong to, what the visitor said, and which visit this is.
 *
 * One entry of local storage, because the answer is needed before anything may be kept or sent, and
 * at a moment when nothing can be waited for. Only hashes are in it, and only with a full grip; the
 * visitor's word is in it always. Another tab's entry is read again whenever this page comes back,
 * when it is told, and every few seconds.
 *
 * `1|<word>|<device>|<made>|<user>|<session>|<started>|<last>|<arrival>`; versions before knew no arrival.
 */

import { arrive } from "./arrival.js";
import type { Make, Word } from "./page.js";
import type { Mode } from "./types.js";

/** What may be done right now: lasting ids, no id, or nothing at all. */
export type Grip = 2 | 1 | 0;

/** Half an hour of silence ends a visit (exactly half an hour does not), a day of age as well. */
const GAP_MS = 1_800_000;
const AGE_MS = 86_400_000;
/** 13 months of 30 days: the longest life the CNIL's exemption gives an id. */
const DEVICE_AGE_MS = 13 * 30 * AGE_MS;
/** The last event of a visit is written at most this often. */
const WRITE_EVERY_MS = 5_000;
const HASH = /^[0-9a-f]{64}$/;
const UUID = /^[0-9a-f-]{36}$/;

/** A visit: its id, its first and its last event, and where it came from (see `arrival`). */
export type Session = [id: string, startedMs: number, lastMs: number, arrival?: string];

/** Whether an event at this time still belongs to the visit. A clock set back ends nothing. */
export function holds([, startedMs, lastMs]: Session, nowMs: number): boolean {
  return nowMs - lastMs <= GAP_MS && nowMs - startedMs < AGE_MS;
}

/** What may be done after that word. A browser that asks for privacy never gives more than no id. */
export function gripOf(word: string, mode: Mode | undefined): Grip {
  if (word === "d" || (word === "-" && mode === "none")) return 0;
  const { globalPrivacyControl, doNotTrack } = navigator as Navigator & { globalPrivacyControl?: boolean };
  const isFull = word === "g" || (word === "-" && mode === "full");
  return isFull && !globalPrivacyControl && doNotTrack !== "1" ? 2 : 1;
}

export class Identity {
  /** What the visitor said: nothing yet, yes, no, or yes without an id. */
  word = "-";
  device = "";
  user = "";
  session: Session | undefined;
  #madeMs = 0;
  #written = "";
  #writtenMs = 0;

  constructor(
    private readonly name: string,
    private readonly mode: Mode,
    private readonly make: Make,
  ) {
    this.read();
  }

  /** What may be done. */
  grip(): Grip {
    return this.make.gripOf(this.word, this.mode);
  }

  /** Who an event at this time is from: the members of its row. Begins a visit if need be. */
  stamp(nowMs: number): { device?: string; user?: string; session: string } {
    const full = this.grip() === 2;
    if (full && nowMs - this.#writtenMs > WRITE_EVERY_MS) this.read();
    const ours = this.session;
    const session: Session =
      ours && this.make.holds(ours, nowMs)
        ? [ours[0], ours[1], Math.max(ours[2], nowMs), ours[3] ?? ""]
        : [this.make.uuid7(nowMs), nowMs, nowMs, ""];
    this.session = session;
    if (full && !(this.device && nowMs - this.#madeMs < DEVICE_AGE_MS)) {
      // The hash of a random id is as random as itself: so there is no raw id to keep.
      this.device = this.make.random(32);
      this.#madeMs = nowMs;
    }
    if (session !== ours && (session[0] !== ours?.[0] || nowMs - this.#writtenMs > WRITE_EVERY_MS)) this.write();
    return {
      ...(full && { device: this.device }),
      ...(full && this.user && { user: this.user }),
      session: session[0],
    };
  }

  /** Where the visit of the event just stamped came from, now that it is at this address. */
  arrive(address: string, referrer: string): string {
    const session = this.session as Session;
    const before = session[3];
    session[3] = arrive(address, referrer, before);
    if (session[3] !== before) this.write();
    return session[3];
  }

  /** Someone signed in, by the hash of who it is. Somebody else's visit ends. */
  signIn(hash: string): void {
    if (this.user && this.user !== hash) this.session = undefined;
    this.user = hash;
    this.write();
  }

  /** The next event belongs to somebody new. */
  forget(): void {
    this.device = this.user = "";
    this.session = undefined;
    this.write();
  }

  /** The visitor said something: remembered whatever it was. */
  say(word: Word): void {
    this.word = word;
    if (word === "d") this.forget();
    else this.write();
  }

  /** Brings the storage up to date, or leaves nothing in it. */
  write(): void {
    const full = this.grip() === 2;
    const { word, device, user, session } = this;
    const text =
      full || word !== "-"
        ? `1|${word}` + (full ? `|${device}|${this.#madeMs}|${user}${session ? `|${session.join("|")}` : ""}` : "")
        : "";
    this.#writtenMs = Date.now();
    if (text === this.#written) return;
    try {
      if (text) localStorage.setItem(this.name, text);
      else if (this.#written) localStorage.removeItem(this.name);
      this.#written = text;
    } catch {
      // Storage is denied or full: then this page is all there is.
    }
  }

  /** Takes over what the storage holds. What is no hash or UUID in it is ignored: anybody can write there. */
  read(): void {
    let text: string | null = null;
    try {
      text = localStorage.getItem(this.name);
    } catch {
      // Denied, as above.
    }
    const [version, word, device, made, user, id, started, last, arrival] = text?.split("|") ?? [];
    if (version !== "1" || !word || !/^[-gcd]$/.test(word)) return;
    this.#written = text as string;
    this.word = word;
    if (this.grip() < 2) return;
    if (device && HASH.test(device)) {
      this.device = device;
      this.#madeMs = Number(made) || 0;
    }
    this.user = user && HASH.test(user) ? user : "";
    if (id && UUID.test(id)) {
      const theirs: Session = [id, Number(started) || 0, Number(last) || 0, arrival ?? ""];
      const ours = this.session;
      // Tabs agree on the later visit, or on the same with its latest event.
      if (!ours || theirs[0] === ours[0]) theirs[2] = Math.max(theirs[2], ours?.[2] ?? 0);
      if (!ours || theirs[0] === ours[0] || theirs[1] > ours[1]) this.session = theirs;
    }
  }
}
