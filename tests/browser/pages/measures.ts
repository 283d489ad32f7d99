/** What measures by itself, where tests can reach it. */

import "./plain.ts";
import * as autocapture from "@tallymark/web/autocapture";
import * as business from "@tallymark/web/business";
import * as content from "@tallymark/web/content";
import * as errors from "@tallymark/web/errors";
import * as pwa from "@tallymark/web/pwa";
import * as vitals from "@tallymark/web/vitals";

const measures = { autocapture, business, content, errors, pwa, vitals };

declare global {
  interface Window {
    measures: typeof measures;
  }
}

window.measures = measures;
