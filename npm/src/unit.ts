/**
 * Who gets a variant: the device's id and the hash of whoever signed in, as `@tallymark/web` keeps
 * them in local storage (`1|<word>|<device>|<made>|<user>|…`). Nothing of it without the visitor's
 * consent: then there is nobody to give a variant to.
 */

/** Unit ids of this browser. */
export interface Units {
  device: string;
  /** Empty while nobody is signed in. */
  user: string;
}

const HASH = /^[0-9a-f]{64}$/;

/**
 * The ids of this browser. In mode `full`, a browser that has none gets one, in the form that the
 * core would give it, so that both agree from the first page on.
 */
export function units(key: string, isFull: boolean): Units | undefined {
  try {
    const name = `tallymark:${key}`;
    const { globalPrivacyControl, doNotTrack } = navigator as Navigator & { globalPrivacyControl?: boolean };
    if (globalPrivacyControl || doNotTrack === "1") return undefined;
    const [version, word = "-", device = "", , user = ""] = (localStorage.getItem(name) ?? "1").split("|");
    if (version !== "1" || !(word === "g" || (word === "-" && isFull))) return undefined;
    if (HASH.test(device)) return { device, user: HASH.test(user) ? user : "" };
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const made = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(name, `1|${word}|${made}|${Date.now()}|`);
    return { device: made, user: "" };
  } catch {
    // Storage is denied: an id would not last.
    return undefined;
  }
}
