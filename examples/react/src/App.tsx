/** Tidewatch, an invented app that tells walkers when the beach is passable: three pages. */

import { identify } from "@tallymark/web";
import { conversion } from "@tallymark/web/experiments";
import { Experiment, usePageView, useTrack } from "@tallymark/web/react";
import { useEffect, useState, type FormEvent, type MouseEvent } from "react";

const PLANS = [
  { id: "shore", name: "Shore", price: 4, line: "One beach, tides for a week." },
  { id: "coast", name: "Coast", price: 9, line: "Every beach, tides for a year." },
];

/** The path, and a way to change it. Three pages do not need a router. */
function usePath(): [string, (path: string) => void] {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const moved = () => setPath(location.pathname);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = (next: string) => {
    history.pushState(null, "", next);
    setPath(next);
  };
  return [path, go];
}

export function App() {
  const [path, go] = usePath();
  const [planId, setPlanId] = useState(PLANS[0]?.id ?? "");
  usePageView(path);
  const track = useTrack();

  const plan = PLANS.find(({ id }) => id === planId);
  const link = (to: string) => ({
    href: to,
    onClick: (event: MouseEvent) => {
      event.preventDefault();
      go(to);
    },
  });

  return (
    <>
      <header>
        <a className="brand" {...link("/")}>Tidewatch</a>
        <a {...link("/plans")}>Plans</a>
      </header>
      <main>
        {path === "/" && (
          <>
            <h1>Walk out. Be back before the water.</h1>
            <p>Tidewatch knows when your path is dry, and says so while there is time.</p>
            <a className="button" {...link("/plans")}>See the plans</a>
          </>
        )}
        {path === "/plans" && (
          <Plans
            choose={(id) => {
              track("plan_selected", { plan: id });
              setPlanId(id);
              go("/join");
            }}
          />
        )}
        {path === "/join" && plan && (
          <Join
            plan={plan}
            joined={(memberId) => {
              identify(memberId); // hashed in the page; the collector never sees it
              track("purchase", { plan: plan.id, value: plan.price, currency: "EUR" });
              conversion("purchase", { value: plan.price, currency: "EUR", experiment: "price-headline" });
              go("/welcome");
            }}
          />
        )}
        {path === "/welcome" && (
          <>
            <h1>You are in.</h1>
            <p>High water today at 16:42. Plenty of time.</p>
          </>
        )}
      </main>
    </>
  );
}

function Plans({ choose }: { choose: (id: string) => void }) {
  return (
    <>
      <Experiment
        name="price-headline"
        variants={{
          control: <h1>From €4 a month</h1>,
          "per-day": <h1>Less than 15 cents a day</h1>,
        }}
      />
      <ul className="plans">
        {PLANS.map(({ id, name, price, line }) => (
          <li key={id}>
            <h2>{name}</h2>
            <p>{line}</p>
            <p className="price">€{price}</p>
            <button className="button" onClick={() => choose(id)}>Choose {name}</button>
          </li>
        ))}
      </ul>
    </>
  );
}

interface JoinProps {
  plan: (typeof PLANS)[number];
  joined: (memberId: string) => void;
}

function Join({ plan, joined }: JoinProps) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const email = new FormData(event.currentTarget).get("email");
    if (typeof email === "string") joined(email);
  };
  return (
    <form onSubmit={submit}>
      <h1>{plan.name}, €{plan.price} a month</h1>
      <label>
        E-mail <input name="email" type="email" required autoComplete="email" />
      </label>
      <button className="button">Join</button>
      <p>This is an example: nothing is sent and nothing is charged.</p>
    </form>
  );
}
