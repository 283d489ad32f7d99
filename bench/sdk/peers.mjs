/**
 * The other SDKs, as their documentation says they are used: `start` once, `call` for an event with five properties. Each sends to
 * the bench's own server, which takes whatever comes. What records by itself beside events (clicks, replays,
 * surveys) is turned off where that is a setting, so that all do the same work.
 */

const PROPS = `{ plan: "team", seats: i, value: 29.99, annual: true, source: "bench" }`;

/** Name and source of each; \`origin\` is where it sends. */
export const TRACKERS = {
  tallymark: `
    import { init, track } from "@tallymark/web";
    export const start = (origin) => init({ key: "tm_pk_live_bench", salt: "00".repeat(32), endpoint: origin, mode: "full", autoPage: false });
    export const call = (i) => track("checkout_started", ${PROPS});`,
  "posthog-js": `
    import posthog from "posthog-js";
    export const start = (origin) => posthog.init("phc_bench", { api_host: origin, autocapture: false, capture_pageview: false, capture_pageleave: false,
      disable_session_recording: true, opt_out_useragent_filter: true, disable_surveys: true, capture_performance: false, capture_dead_clicks: false, rate_limiting: { events_per_second: 1e6, events_burst_limit: 1e7 } });
    export const call = (i) => posthog.capture("checkout_started", ${PROPS});`,
  "Amplitude": `
    import * as amplitude from "@amplitude/analytics-browser";
    export const start = (origin) => amplitude.init("bench", { serverUrl: origin + "/2/httpapi", autocapture: false, fetchRemoteConfig: false, remoteConfig: { fetchRemoteConfig: false } }).promise;
    export const call = (i) => amplitude.track("checkout_started", ${PROPS});`,
  "Mixpanel": `
    import mixpanel from "mixpanel-browser";
    export const start = (origin) => mixpanel.init("bench", { api_host: origin, autocapture: false, track_pageview: false, record_sessions_percent: 0, flags: false });
    export const call = (i) => mixpanel.track("checkout_started", ${PROPS});`,
  "Segment": `
    import { AnalyticsBrowser } from "@segment/analytics-next";
    let analytics;
    export const start = (origin) => (analytics = new AnalyticsBrowser()).load({ writeKey: "bench", cdnURL: origin, cdnSettings: { integrations: {
      "Segment.io": { apiKey: "bench", apiHost: origin.replace(/.*\\/\\//, "") + "/v1", protocol: "http", deliveryStrategy: { strategy: "batching", config: { size: 100 } } } } } });
    export const call = (i) => void analytics.track("checkout_started", ${PROPS});`,
  "RudderStack": `
    import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";
    let rudder;
    export const start = (origin) => (rudder = new RudderAnalytics()).load("1".repeat(27), origin, { configUrl: origin, destSDKBaseURL: origin, pluginsSDKBaseURL: origin, useBeacon: false, queueOptions: { batch: { enabled: true, maxItems: 100 } } });
    export const call = (i) => rudder.track("checkout_started", ${PROPS});`,
  "Snowplow": `
    import { newTracker, trackSelfDescribingEvent } from "@snowplow/browser-tracker";
    export const start = (origin) => newTracker("sp", origin, { appId: "bench", bufferSize: 50 });
    export const call = (i) => trackSelfDescribingEvent({ event: { schema: "iglu:bench/checkout_started/jsonschema/1-0-0", data: ${PROPS} } });`,
  "OpenPanel": `
    import { OpenPanel } from "@openpanel/web";
    let op;
    export const start = (origin) => (op = new OpenPanel({ apiUrl: origin, clientId: "bench", trackScreenViews: false, trackOutgoingLinks: false, trackAttributes: false }));
    export const call = (i) => void op.track("checkout_started", ${PROPS});`,
  // Its script comes with its server; what it needs is written to the tag it is in.
  "Umami": `
    import script from "umami:tracker";
    export const start = (origin) => {
      const tag = document.createElement("script");
      Object.assign(tag.dataset, { websiteId: "bench", hostUrl: origin, autoTrack: "false" });
      tag.textContent = script;
      document.head.append(tag);
    };
    export const call = (i) => void umami.track("checkout_started", ${PROPS});`,
  "Plausible": `
    import { init, track } from "@plausible-analytics/tracker";
    export const start = (origin) => init({ domain: "bench", endpoint: origin + "/api/event", autoCapturePageviews: false, captureOnLocalhost: true, logging: false });
    export const call = (i) => track("checkout_started", { props: { plan: "team", seats: String(i), value: "29.99", annual: "true", source: "bench" } });`,
};

/** Ten experiments of two variants, in the form that GrowthBook describes and ours reads. */
const FEATURES = `Object.fromEntries(Array.from({ length: 10 }, (_, i) => ["exp-" + i, { defaultValue: "none", rules: [{ key: "exp-" + i,
  hashAttribute: HASHED, hashVersion: 2, variations: ["a", "b"], weights: [0.5, 0.5], coverage: 1, meta: [{ key: "a" }, { key: "b" }] }] }]))`;

/**
 * Experiments and flags, with the document in the page: `start` once, `call` gives the variant of one of ten experiments. Statsig's server
 * has decided already, and its document holds the answers; ours and GrowthBook's decide in the page.
 */
export const FLAGGERS = {
  tallymark: `
    import { init } from "@tallymark/web";
    import { start as begin, value } from "@tallymark/web/experiments";
    const settings = (origin) => ({ key: "tm_pk_live_bench", salt: "00".repeat(32), endpoint: origin, mode: "full", autoPage: false });
    export const start = (origin) => {
      init(settings(origin));
      return begin({ ...settings(origin), document: { features: ${FEATURES.replace("HASHED", '"device"')} } });
    };
    export const call = (i) => value("exp-" + (i % 10), "none");`,
  GrowthBook: `
    import { GrowthBook } from "@growthbook/growthbook";
    let book;
    export const start = () => (book = new GrowthBook({ attributes: { id: "somebody" } })).initSync({ payload: { features: ${FEATURES.replace("HASHED", '"id"')} } });
    export const call = (i) => book.getFeatureValue("exp-" + (i % 10), "none");`,
  Statsig: `
    import { StatsigClient } from "@statsig/js-client";
    const answer = (i) => ({ name: "exp-" + i, value: { variant: "a" }, rule_id: "a", group: "a", group_name: "a", is_device_based: false, secondary_exposures: [],
      is_user_in_experiment: true, is_experiment_active: true });
    let client;
    export const start = () => {
      client = new StatsigClient("client-bench", { userID: "somebody" }, { networkConfig: { preventAllNetworkTraffic: true }, disableLogging: true });
      client.dataAdapter.setData(JSON.stringify({ user: { userID: "somebody" }, feature_gates: {}, layer_configs: {}, has_updates: true, time: 1, hash_used: "none",
        dynamic_configs: Object.fromEntries(Array.from({ length: 10 }, (_, i) => ["exp-" + i, answer(i)])) }));
      return client.initializeSync();
    };
    export const call = (i) => client.getExperiment("exp-" + (i % 10)).get("variant", "none");`,
};

/** What a server of theirs would say; anything else is answered with an empty object. */
export function reply(path, body) {
  if (path.includes("/v1/batch")) {
    const nonce = /"nonce":"([^"]*)"/.exec(body)?.[1] ?? "";
    // Segment has the same path and reads no answer.
    return JSON.stringify({ nonce, ok: body.split('"name":').length - 1, dup: 0, rejected: [] });
  }
  if (path.startsWith("/2/httpapi")) return JSON.stringify({ code: 200, events_ingested: 1 });
  if (/^\/(track|engage)/.test(path)) return JSON.stringify({ status: 1 });
  if (path.startsWith("/sourceConfig")) {
    const config = { id: "bench", name: "bench", writeKey: "1".repeat(27), enabled: true, workspaceId: "bench", connections: [], destinations: [] };
    return JSON.stringify({ source: { ...config, config: { statsCollection: { errors: { enabled: false }, metrics: { enabled: false } } }, dataplanes: {} }, updatedAt: "2026-01-01" });
  }
  return JSON.stringify({ status: 1, success: true });
}
