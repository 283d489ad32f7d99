/** Start: settings first, then the app. Without settings the app works and counts nothing. */

import { init, optOut } from "@tallymark/web";
import { start } from "@tallymark/web/experiments";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import "./app.css";

const { VITE_TALLYMARK_KEY: key, VITE_TALLYMARK_SALT: salt } = import.meta.env;
const endpoint = import.meta.env["VITE_TALLYMARK_ENDPOINT"] ?? "http://127.0.0.1:8787";

const RUNNING = {
  features: {
    "price-headline": {
      defaultValue: "control",
      rules: [
        {
          key: "price-headline",
          hashVersion: 2,
          hashAttribute: "device",
          variations: ["control", "per-day"],
          meta: [{ key: "control" }, { key: "per-day" }],
        },
      ],
    },
  },
};

if (key && salt) {
  init({
    key,
    salt,
    endpoint,
    mode: "full", // needs the visitor's consent; the shop in examples/pwa shows how to ask
    autoPage: false, // usePageViews counts them
    onError: ({ code, message }) => console.warn(`analytics: ${code}: ${message}`),
  });
  // What is running. A collector serves it once the experiment is defined there; then leave `document` out.
  void start({ key, endpoint, mode: "full", document: RUNNING });
} else {
  optOut();
}

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
