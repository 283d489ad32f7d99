/** Experiments and flags, where tests can reach them. */

import "./plain.ts";
import * as flags from "@tallymark/web/experiments";

declare global {
  interface Window {
    flags: typeof flags;
  }
}

window.flags = flags;
