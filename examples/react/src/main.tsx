/** Start: settings first, then the app. Without settings the app works and counts nothing. */

import { type Options, optOut } from "@tallymark/web";
import { start } from "@tallymark/web/experiments";
import { ErrorBoundary, TallymarkProvider } from "@tallymark/web/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import "./app.css";

const { VITE_TALLYMARK_KEY: key, VITE_TALLYMARK_SALT: salt } = import.meta.env;
const endpoint = import.meta.env["VITE_TALLYMARK_ENDPOINT"] ?? "http://127.0.0.1:8787";

const options: Options | undefined =
  key && salt
    ? {
        key,
        salt,
        endpoint,
        mode: "full", // needs the visitor's consent; the shop in examples/pwa shows how to ask
        autoPage: false, // usePageView counts them
        onError: ({ code, message }) => console.warn(`analytics: ${code}: ${message}`),
      }
    : undefined;
// What the collector runs: experiments and flags.
if (options) void start({ key: options.key, endpoint, mode: "full" });
else optOut();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <TallymarkProvider {...(options && { options })} properties={{ app: "tidewatch" }}>
      <ErrorBoundary name="app" fallback={<p>Something went wrong. Reload the page, please.</p>}>
        <App />
      </ErrorBoundary>
    </TallymarkProvider>
  </StrictMode>,
);
