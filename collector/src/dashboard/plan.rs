//! The results page, from its address to its template: pure, so that every state of the page can
//! be looked at in a test.
//!
//! In: what was seen in the project, a query string, the clock; then the replies. Out: the
//! questions, and the page. Invariant: replies are read at the places of their questions.
//!
//! Deliberately elsewhere: asking (`results`).

use jiff::tz::TimeZone;
use tallymark_analysis::answer::Group;
use tallymark_store::Schema;

use super::address::Address;
use super::format;
use super::notes::{self, Note};
use super::page::{Home, Leads, Now, Offer, Results};
use super::period::{Asked, Period, Range};
use super::questions::{self, Question};
use super::shell::Shell;
use super::view::experiments::{Experiment, experiment};
use super::view::{
    Completeness, Reply, Section, content, funnel, install, overview, retention, tables, today,
    trend_of,
};
use super::words::{n, t};
use crate::experiments::life::State;
use crate::meta::projects::Project;

/// Offered where a time zone is asked for; any other IANA name can be typed.
pub const ZONES: &[&str] = &[
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jakarta",
    "Asia/Kolkata",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Vienna",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Pacific/Auckland",
];

/// Conversion windows on offer.
const WINDOWS: [(&str, &str); 6] = [
    ("30m", n("30 minutes")),
    ("1h", n("one hour")),
    ("1d", n("one day")),
    ("7d", n("7 days")),
    ("14d", n("14 days")),
    ("30d", n("30 days")),
];
const DEFAULT_WINDOW: &str = "7d";

/// Selects in the form of the funnel.
const STEP_FIELDS: usize = 8;

/// What a page shows, before it is asked.
pub struct Plan<'a> {
    project: &'a Project,
    schema: Schema,
    address: Address,
    period: Period,
    complaint: Option<String>,
    steps: Vec<String>,
    goal: Option<String>,
    window: String,
    /// Experiments that are defined here.
    defined: Vec<(String, State)>,
}

/// Places of the replies to [`Plan::questions`].
const NOW: usize = 0;
const HEADLINE: usize = 1;
const ACTIVE: usize = 2;
const RETENTION: usize = 3;
const CONTENT: usize = 4;
const PWA: usize = 5;
const EXPOSED: usize = 6;
const TODAY: usize = 7;
const BEFORE: usize = 8;
const DELIVERY: usize = 9;
const RANKED: usize = 10;
const FUNNEL: usize = RANKED + tables::TABLES.len();

impl<'a> Plan<'a> {
    /// Read the address and choose what it leaves open.
    pub fn new(
        project: &'a Project,
        schema: Schema,
        defined: Vec<(String, State)>,
        query: &str,
        now_ms: i64,
    ) -> Self {
        let address = Address::read(query);
        let asked = Asked {
            range: address.range.as_deref(),
            from: address.from.as_deref(),
            to: address.to.as_deref(),
            tz: address.tz.as_deref(),
        };
        let (period, complaint) =
            Period::read(&asked, &project.tz, project.settings.week_starts, now_ms);
        let steps = questions::funnel_steps(&address, &schema);
        let goal = questions::goal(&address, &steps, &schema);
        let window = address.window.clone().unwrap_or_else(|| DEFAULT_WINDOW.into());
        Self { project, schema, address, period, complaint, steps, goal, window, defined }
    }

    /// Everything but the experiments, whose keys are an answer themselves. The funnel comes
    /// last: it is the one question that may be missing.
    pub fn questions(&self) -> Vec<Question> {
        let (period, schema) = (&self.period, &self.schema);
        let mut all = vec![
            questions::now(period),
            questions::headline(period, schema, self.goal.as_deref()),
            questions::active(period),
            questions::retention(period),
            questions::content(period),
            questions::pwa(period),
            questions::experiment_keys(period),
            questions::today(period, schema, 0),
            questions::today(period, schema, 1),
            questions::delivery(period),
        ];
        all.extend(tables::TABLES.iter().map(|table| questions::top(period, schema, table.prop)));
        if self.steps.len() > 1 {
            all.push(questions::funnel(period, &self.steps, &self.window));
        }
        all
    }

    /// The time it shows.
    pub fn period(&self) -> &Period {
        &self.period
    }

    /// One question per experiment of the page.
    pub fn experiment_questions(&self, first: &[Reply]) -> Vec<Question> {
        let keys = self.comparable(&first[EXPOSED]);
        let question = |key: String| match &self.goal {
            Some(goal) if self.state(&key).is_none() => {
                questions::experiment(&self.period, &key, goal)
            }
            _ => questions::defined_experiment(&self.period, &key),
        };
        keys.into_iter().map(question).collect()
    }

    /// Where an experiment is in its life, if it is defined here.
    fn state(&self, key: &str) -> Option<State> {
        self.defined.iter().find(|(own, _)| own == key).map(|(_, state)| *state)
    }

    /// The experiments of which it is known what counts as success: those that people met, and after them those
    /// that are defined and not over, whom nobody has met in this time.
    fn comparable(&self, exposed: &Reply) -> Vec<String> {
        let mut keys = experiment_keys(exposed);
        let waiting = self.defined.iter().filter(|(_, state)| *state != State::Concluded);
        let waiting = waiting.map(|(key, _)| key).filter(|key| !keys.contains(key)).cloned();
        let waiting: Vec<String> = waiting.take(questions::EXPERIMENTS).collect();
        keys.retain(|key| self.goal.is_some() || self.state(key).is_some());
        keys.extend(waiting);
        keys
    }

    fn experiments(
        &self,
        exposed: &Reply,
        replies: &[Reply],
    ) -> Section<Vec<(String, Section<Experiment>)>> {
        if let Err(why) = exposed {
            return Section::failed(why);
        }
        let keys = self.comparable(exposed);
        if keys.is_empty() && experiment_keys(exposed).is_empty() {
            return Section::empty(
                "No experiment ran in this time",
                "Define one (`tallymark experiment`, or POST /v1/experiments), or record who met which \
                 variant with exposure(experiment, variant): whoever meets a variant is counted here.",
            );
        }
        if keys.is_empty() {
            return Section::empty(
                "What should count as success?",
                "People were exposed to experiments, but there is no other event yet to compare them by.",
            );
        }
        let each = keys.into_iter().zip(replies).map(|(key, reply)| {
            let shown = experiment(&key, self.state(&key), reply);
            (key, shown)
        });
        Section::Ready(each.collect())
    }

    /// The page around its results, as HTML.
    pub fn page(&self, shell: Shell, answer: String) -> Home<'_> {
        let (address, period) = (&self.address, &self.period);
        let offer = |&days: &i64| Offer {
            days,
            href: address.with_range(days),
            current: period.range == Range::Days(days),
        };
        Home {
            shell,
            project: self.project,
            offers: Period::OFFERED.iter().map(offer).collect(),
            custom: period.range == Range::Custom,
            period_short: format!(
                "{} – {}",
                format::day(period.from),
                format::day(period.last_day())
            ),
            from: period.from.to_string(),
            last_day: period.last_day().to_string(),
            tz: period.tz_name.clone(),
            zones: ZONES,
            complaint: self.complaint.clone(),
            kept_by_range: address.fields_without(&["range", "from", "to", "tz"]),
            answer,
        }
    }

    /// The results. `first` and `second` are the replies to the questions above.
    pub fn results<'p>(
        &'p self,
        first: &[Reply],
        second: &[Reply],
        notes: Vec<Note>,
        timing: String,
    ) -> Results<'p> {
        let (address, period) = (&self.address, &self.period);
        let goal = self.goal.as_deref();
        let days = period.days();
        let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
        let marks = |days: &[String]| notes::marks(&notes, days, &tz);
        let views = questions::looking(&self.schema).unwrap_or_default();
        let ask = |kind: &str, asked: &[(&str, &str)]| address.ask(&self.project.slug, kind, asked);
        let mut funnel_asked = vec![("window", self.window.as_str())];
        funnel_asked.extend(self.steps.iter().map(|step| ("step", step.as_str())));
        let rankings = tables::TABLES.iter().zip(&first[RANKED..FUNNEL]);
        Results {
            project: self.project,
            now: Now::of(&first[NOW]),
            period_words: capitalised(&period.words()),
            tz: period.tz_name.clone(),
            settles: matches!(first[HEADLINE], Ok((_, Completeness::Open)))
                .then(|| format::full_day(period.settled_on())),
            kept_by_funnel: address.fields_without(&["step", "window"]),
            kept_by_metric: address.fields_without(&["metric"]),
            cards: overview::cards(&first[HEADLINE], &first[ACTIVE], goal, days),
            charts: vec![
                (
                    "active",
                    ask("active", &[]),
                    t("Active people"),
                    t("did anything on a day, in the 7 or the 30 days up to it"),
                    overview::active(&first[ACTIVE], period.today, &marks),
                ),
                (
                    "views",
                    ask("trend", &[("event", views), ("measure", "count")]),
                    t("Page views"),
                    t("per day"),
                    overview::views(&first[HEADLINE], period.today, &marks),
                ),
            ],
            rankings: rankings
                .map(|(table, reply)| tables::ranking(table, reply, |asked| ask("trend", asked)))
                .collect(),
            step_choices: step_choices(&self.steps),
            event_names: event_names(&self.schema, &self.steps, goal),
            windows: windows(&self.window),
            window_words: window_words(&self.window),
            window: self.window.clone(),
            funnel: funnel::funnel(first.get(FUNNEL), &self.steps),
            retention: retention::retention(&first[RETENTION]),
            goal: self.goal.clone(),
            experiments_since: format::full_day(period.experiments_from()),
            experiments: self.experiments(&first[EXPOSED], second),
            content: content::content(&first[CONTENT]),
            install: install::install(&first[PWA]),
            today: today::today(&first[TODAY], &first[BEFORE]),
            delivery: today::delivery(&first[DELIVERY]),
            leads: Leads {
                funnel: ask("funnel", &funnel_asked),
                retention: ask("retention", &[("bucket", "week")]),
                experiments: format!("/p/{}/experiments", self.project.slug),
                content: ask("content", &[]),
                install: ask("pwa", &[]),
            },
            notes,
            timing,
        }
    }
}

/// The keys in the answer, the rest and the nameless left out.
fn experiment_keys(reply: &Reply) -> Vec<String> {
    let Ok(trend) = trend_of(reply) else { return Vec::new() };
    let named = trend.series.iter().filter(|series| series.group == Group::Value);
    named
        .filter_map(|series| series.value.as_ref()?.text().map(str::to_owned))
        .take(questions::EXPERIMENTS)
        .collect()
}

/// One select per step and some more to add to, up to [`STEP_FIELDS`].
fn step_choices(steps: &[String]) -> Vec<String> {
    let fields = (steps.len() + 1).clamp(4, STEP_FIELDS).max(steps.len());
    (0..fields).map(|index| steps.get(index).cloned().unwrap_or_default()).collect()
}

/// Names to choose from: what was seen, and what was chosen although it was not.
fn event_names(schema: &Schema, steps: &[String], goal: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = schema.events.keys().cloned().collect();
    names.extend(steps.iter().cloned());
    names.extend(goal.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    names
}

fn windows(chosen: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        WINDOWS.iter().map(|(value, words)| ((*value).into(), t(words).into())).collect();
    if all.iter().all(|(value, _)| value != chosen) {
        all.push((chosen.to_owned(), chosen.to_owned()));
    }
    all
}

fn window_words(chosen: &str) -> String {
    let known = WINDOWS.iter().find(|(value, _)| *value == chosen);
    known.map_or_else(|| chosen.to_owned(), |(_, words)| t(words).to_owned())
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}
