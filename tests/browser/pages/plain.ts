/** The whole page under test: the package as it is, where tests can reach it. */

import * as tally from "@tallymark/web";

declare global {
  interface Window {
    tally: typeof tally;
    /** The codes that `onError` was told. */
    reported: string[];
  }
}

Object.assign(globalThis, { tally, reported: [] });
