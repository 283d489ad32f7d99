"use client";

import { ErrorBoundary, TallymarkProvider, useFlag, useTrack } from "@tallymark/web/react";
import { useEffect, useState } from "react";

import { run, settings } from "../../common.js";

export function Button() {
  const [options, setOptions] = useState();
  useEffect(() => {
    window.isStarted = true;
    setOptions(settings());
    run("next");
  }, []);
  return (
    <TallymarkProvider key={options ? "known" : "unknown"} options={options} properties={{ in: "react" }}>
      <ErrorBoundary name="button" fallback={<p>failed</p>}>
        <Inside />
      </ErrorBoundary>
    </TallymarkProvider>
  );
}

function Inside() {
  const track = useTrack();
  const modern = useFlag("modern", false);
  return <button onClick={() => track("clicked")}>{modern ? "modern" : "old"}</button>;
}
