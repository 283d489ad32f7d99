//! Making an experiment: what is expected, what decides, how many people that takes; then a draft.
//!
//! The form asks for what nearly every experiment needs. Whatever else a definition can say goes in as JSON, which is
//! what the form makes, too.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::words::{filters, say, t};
use super::super::{Place, Shell, format, show as show_page};
use super::plan::{self, METHODS, PACE_DAYS, Size, Wish};
use super::{desk, to};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::{Fields, Filled, Said, Trouble};
use crate::meta::projects::Project;

/// Variants that the form has places for.
const VARIANTS: usize = 4;

#[derive(Template)]
#[template(path = "experiments/create.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    slug: String,
    typed: Typed,
    events: Vec<String>,
    methods: [(&'static str, &'static str); 5],
    kinds: [(&'static str, &'static str); 3],
    size: Option<Shown>,
    json: String,
}

/// What `said.html` looks for.
struct Frame {
    said: Said,
}

/// The form as it was filled in.
struct Typed {
    key: String,
    hypothesis: String,
    variants: Vec<String>,
    event: String,
    kind: String,
    lift: String,
    baseline: String,
    per_day: String,
    coverage: String,
    method: String,
    days: String,
    guardrail: String,
    margin: String,
}

/// What it takes, in words.
struct Shown {
    persons: String,
    per_variant: String,
    days: Option<String>,
    seen: Option<String>,
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).to_owned();
        let or = |name: &str, usual: &str| fields.find(name).unwrap_or(usual).to_owned();
        let mut variants: Vec<String> = fields.all("variant").map(str::to_owned).collect();
        if variants.is_empty() {
            variants = vec!["control".into(), String::new()];
        }
        variants.resize(VARIANTS, String::new());
        Self {
            key: text("key"),
            hypothesis: text("hypothesis"),
            variants,
            event: text("event"),
            kind: or("kind", "conversion"),
            lift: text("lift"),
            baseline: text("baseline"),
            per_day: text("per_day"),
            coverage: or("coverage", "100"),
            method: or("method", "sequential"),
            days: text("days"),
            guardrail: text("guardrail"),
            margin: text("margin"),
        }
    }

    fn variants(&self) -> Vec<&str> {
        self.variants.iter().map(String::as_str).filter(|key| !key.is_empty()).collect()
    }

    /// The definition that the form describes.
    fn definition(&self, now_ms: i64, size: Option<Size>) -> Result<Value, String> {
        let mut primary = json!({ "name": self.event, "event": self.event });
        if self.kind != "conversion" {
            primary["kind"] = self.kind.as_str().into();
        }
        let variants: Vec<_> = self.variants().iter().map(|key| json!({ "key": key })).collect();
        let mut analysis = json!({ "method": self.method });
        if let Some(size) = size {
            analysis["plan"] = json!({ "persons": size.persons });
        }
        let mut definition = json!({
            "kind": "experiment", "key": self.key, "hypothesis": self.hypothesis,
            "variants": variants, "primary": primary, "analysis": analysis,
            "coverage": share(&self.coverage, "coverage")?,
        });
        if !self.lift.is_empty() {
            definition["mde"] = share(&self.lift, "lift")?.into();
        }
        if !self.guardrail.is_empty() {
            let margin = if self.margin.is_empty() { 0.0 } else { share(&self.margin, "margin")? };
            definition["guardrails"] = json!([{
                "metric": { "name": self.guardrail, "event": self.guardrail, "preferred": "decrease" },
                "margin": margin,
            }]);
        }
        if !self.days.is_empty() {
            let days = self.days.parse::<i64>().ok().filter(|days| (1..=1_000).contains(days));
            let days = days.ok_or("days: a number from 1 to 1,000")?;
            let ends = jiff::Timestamp::from_millisecond(now_ms + days * 86_400_000);
            definition["ends_at"] = ends.unwrap_or_default().to_string().into();
        }
        Ok(definition)
    }
}

/// A share, from percent; both signs for decimals are understood.
fn share(percent: &str, field: &str) -> Result<f64, String> {
    let plain = percent.replace(',', ".");
    let number: Option<f64> = plain.trim_end_matches('%').trim().parse().ok();
    let number = number.filter(|number: &f64| number.is_finite());
    number.map(|number| number / 100.0).ok_or_else(|| format!("{field}: a number of percent"))
}

/// `GET /p/{slug}/new-experiment`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
) -> Result<Response, Trouble> {
    let typed = Typed::of(&Fields::default());
    page(&app, &caller, &project, (typed, None, String::new()), (StatusCode::OK, Said::default()))
        .await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    (typed, size, json): (Typed, Option<Shown>, String),
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    let page = Page {
        shell: Shell::within(app, caller, project, Place::Experiments),
        frame: Frame { said },
        slug: project.slug.clone(),
        typed,
        events: schema.events.into_keys().collect(),
        methods: [
            (METHODS[0].0, t("may be looked at every day")),
            (METHODS[1].0, t("every day with little error, and a test at the end")),
            (METHODS[2].0, t("at planned looks")),
            (METHODS[3].0, t("every day, by a mixture of likelihood ratios")),
            (METHODS[4].0, t("once, at the end")),
        ],
        kinds: [
            ("conversion", t("who did it at least once")),
            ("count", t("how often it was done")),
            ("revenue", t("what it was worth, of its value")),
        ],
        size,
        json,
    };
    Ok(show_page(status, &page))
}

/// `POST /p/{slug}/new-experiment`: compute, or make the draft; the button says which.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let mut typed = Typed::of(&fields);
    let json = fields.raw("json");
    let wrong = |refused: String| {
        let said = Said { done: None, refused: Some(refused) };
        (StatusCode::UNPROCESSABLE_ENTITY, said)
    };
    if fields.get("act") == "json" {
        let definition = match serde_json::from_str::<Value>(&json) {
            Ok(definition) => definition,
            Err(error) => {
                let said = wrong(say("This is no JSON: {error}", &[("error", &error.to_string())]));
                return page(&app, &caller, &project, (typed, None, json), said).await;
            }
        };
        return make(&app, &caller, &project, (typed, None, json), definition).await;
    }
    let planned = plan_of(&app, &project, &mut typed).await?;
    if fields.get("act") == "plan" {
        let (shown, said) = match planned {
            Some(Ok((shown, _))) => (Some(shown), (StatusCode::OK, Said::default())),
            Some(Err(refused)) => (None, wrong(refused)),
            None => (
                None,
                wrong(
                    t("To plan, say which event decides, and the smallest change worth finding.")
                        .into(),
                ),
            ),
        };
        return page(&app, &caller, &project, (typed, shown, json), said).await;
    }
    let size = planned.and_then(Result::ok);
    match typed.definition(app.clock.now_ms(), size.as_ref().map(|(_, size)| *size)) {
        Ok(definition) => {
            let shown = size.map(|(shown, _)| shown);
            make(&app, &caller, &project, (typed, shown, json), definition).await
        }
        Err(refused) => page(&app, &caller, &project, (typed, None, json), wrong(refused)).await,
    }
}

async fn make(
    app: &App,
    caller: &Caller,
    project: &Project,
    typed: (Typed, Option<Shown>, String),
    definition: Value,
) -> Result<Response, Trouble> {
    let name = caller.name();
    match desk(app, project, &name).create(definition).await {
        Ok(made) => Ok(to(project, made.definition.key(), "saved")),
        Err(refused) => page(app, caller, project, typed, Said::refusal(refused)?).await,
    }
}

type Planned = Option<Result<(Shown, Size), String>>;

/// What it takes, if the form says enough. What it leaves open about people is taken from the last weeks, and
/// written into it.
async fn plan_of(app: &App, project: &Project, typed: &mut Typed) -> Result<Planned, Trouble> {
    if typed.event.is_empty() || typed.lift.is_empty() || typed.kind != "conversion" {
        return Ok(None);
    }
    let mut seen = None;
    if typed.baseline.is_empty() || typed.per_day.is_empty() {
        let found = plan::seen(app, project, &typed.event).await?;
        if typed.baseline.is_empty() && found.converted > 0.0 {
            typed.baseline = format!("{:.2}", found.baseline() * 100.0);
        }
        if typed.per_day.is_empty() {
            typed.per_day = format!("{:.0}", found.per_day());
        }
        seen = Some(say(
            "In the last {days} days {converted} of {persons} people did it.",
            &[
                ("days", &PACE_DAYS.to_string()),
                ("converted", &format::count(found.converted as u64)),
                ("persons", &format::count(found.persons as u64)),
            ],
        ));
    }
    if typed.baseline.is_empty() {
        return Ok(Some(Err(t(
            "Nobody did this event in the last weeks: say yourself what share of people will.",
        )
        .into())));
    }
    let size = (|| {
        let per_day = typed.per_day.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let wish = Wish {
            baseline: share(&typed.baseline, "baseline")?,
            lift: share(&typed.lift, "lift")?,
            variants: typed.variants().len().max(2),
            method: typed.method.clone(),
            per_day: per_day.ok_or("people a day: a number")?,
            coverage: share(&typed.coverage, "coverage")?,
        };
        plan::size(&wish)
    })();
    Ok(Some(size.map(|size| {
        let shown = Shown {
            persons: format::count(size.persons),
            per_variant: format::count(size.per_variant),
            days: size.days.map(|days| format::counted(days, "day", "days")),
            seen,
        };
        if let (Some(days), true) = (size.days, typed.days.is_empty()) {
            typed.days = days.to_string();
        }
        (shown, size)
    })))
}
