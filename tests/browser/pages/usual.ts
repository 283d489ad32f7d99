/** What pages usually import, and what tests need to wait for it. */

import { flush, identify, init, optIn, optOut, page, ready, reset, track } from "@tallymark/web";

Object.assign(globalThis, { tally: { flush, identify, init, optIn, optOut, page, ready, reset, track }, reported: [] });
