/** A page that asks the service worker for delivery, with the package where tests can reach it. */

import { askForDelivery } from "@tallymark/web/worker";

import "./plain.ts";

Object.assign(globalThis, { askForDelivery });
