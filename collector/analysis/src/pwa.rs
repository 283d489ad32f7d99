//! Installs: how people came to have the app, and how they open it.
//!
//! The story has four stages: the browser offered to install (`$pwa_prompt`, outcome `shown`), the
//! person accepted, the app was installed (`$pwa_install`), and it was opened on its own
//! (`$pwa_launch` outside a browser tab). Stages are counted each for itself, because some
//! browsers install without a prompt; `persons_after_previous` is the way from stage to stage. By display mode
//! the answer says who came back 24 hours or more after their first event in it, and of everybody who used the
//! app without a network (`pwa_used_offline`).
//!
//! Invariant: `persons_after_previous ≤ persons ≤ count` in every stage.
//!
//! Deliberately elsewhere: what installed people are worth (trends and retention by
//! `display_mode`), people who install on a device on which they are not known.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS, ratio};
use crate::events::{Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, Condition, Filter, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::DAY_MS;

/// Name, event, and the property by which it is told apart.
type Stage = (&'static str, &'static str, Option<(&'static str, &'static str)>);

/// The event of use without a network; its bit comes after those of the stages.
const OFFLINE: &str = "pwa_used_offline";

/// The stages in order.
const STAGES: [Stage; 4] = [
    ("prompt_shown", "$pwa_prompt", Some(("outcome", "shown"))),
    ("prompt_accepted", "$pwa_prompt", Some(("outcome", "accepted"))),
    ("installed", "$pwa_install", None),
    ("launched_standalone", "$pwa_launch", None),
];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {}

/// How people came to install the app, and how they open it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaAnswer {
    /// `prompt_shown`, `prompt_accepted`, `installed`, `launched_standalone`.
    pub stages: Vec<PwaStage>,
    /// All events by display mode, by falling number of people.
    pub display_modes: Vec<PwaMode>,
    /// People of the range.
    pub persons: u64,
    /// Those of them who used the app without a network.
    pub offline_persons: u64,
    /// `offline_persons / persons`; `null` when that was nobody.
    pub offline_ratio: Option<f64>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaStage {
    /// Its name.
    pub stage: String,
    /// Events.
    pub count: u64,
    /// People who did it.
    pub persons: u64,
    /// People who did it after the stage before; for the first stage, all of them.
    pub persons_after_previous: u64,
    /// `persons_after_previous` as a share of the people of the stage before; `null` for the first
    /// stage and when that was nobody.
    pub from_previous_ratio: Option<f64>,
}

/// One display mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaMode {
    /// `browser`, `standalone`, …; `null` when events do not say.
    pub display_mode: Option<String>,
    /// Events.
    pub events: u64,
    /// People.
    pub persons: u64,
    /// Those of them with an event in it 24 hours or more after their first one.
    pub returned: u64,
    /// `returned / persons`.
    pub returned_ratio: Option<f64>,
}

struct Pwa {
    plan: ScanPlan,
    filter: Filter,
    matcher: Matcher,
    mode: TextColumn,
    to_ms: i64,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Question = parse(body)?;
    let mut columns = Columns::default();
    let patterns = STAGES
        .iter()
        .map(|(stage, event, told_by)| {
            let mut condition = told_by
                .map_or_else(Condition::always, |(prop, value)| Condition::equals(prop, value));
            if *stage == "launched_standalone" {
                condition = condition.and(Condition::differs("display_mode", "browser"));
            }
            (Some((*event).to_owned()), condition.bind(&mut columns))
        })
        .chain([(Some(OFFLINE.to_owned()), Condition::always().bind(&mut Columns::default()))])
        .collect();
    let filter = common.filter.bind(&mut columns);
    let mode = columns.text("display_mode");
    let analysis = Pwa {
        plan: ScanPlan::with(columns, common.from_ms, common.to_ms, EventSet::All),
        filter,
        matcher: Matcher::new(patterns),
        mode,
        to_ms: common.to_ms,
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

impl Analysis for Pwa {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            filter: self.filter.clone(),
            matcher: self.matcher.clone(),
            mode: self.mode,
            stages: [[0; 3]; STAGES.len()],
            modes: Vec::new(),
            offline: 0,
            persons: 0,
            person: 0,
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let mut stages: Vec<PwaStage> = Vec::new();
        for (index, (name, ..)) in STAGES.iter().enumerate() {
            let cell = |column| partial.count(&[Key::Int(0), index.into()], column);
            stages.push(PwaStage {
                stage: (*name).into(),
                count: cell(0),
                persons: cell(1),
                persons_after_previous: if index == 0 { cell(1) } else { cell(2) },
                from_previous_ratio: stages.last().and_then(|last| ratio(cell(2), last.persons)),
            });
        }
        let mut display_modes: Vec<PwaMode> = partial
            .starting_with(&[Key::Int(1)])
            .map(|(key, row)| PwaMode {
                display_mode: key[0].text().map(str::to_owned),
                events: row[0] as u64,
                persons: row[1] as u64,
                returned: row[2] as u64,
                returned_ratio: ratio(row[2] as u64, row[1] as u64),
            })
            .collect();
        display_modes.sort_by(|a, b| {
            b.persons.cmp(&a.persons).then_with(|| a.display_mode.cmp(&b.display_mode))
        });
        let [persons, offline_persons] = [0, 1].map(|column| partial.count(&[Key::Int(2)], column));
        let offline_ratio = ratio(offline_persons, persons);
        let body = PwaAnswer { stages, display_modes, persons, offline_persons, offline_ratio };
        Answer { complete: facts.now_ms >= self.to_ms + LATENESS_MS, body: AnswerBody::Pwa(body) }
    }
}

/// Table: `(0, stage)` → events, people, people after the stage before; `(1, mode)` → events,
/// people, people who came back; `(2)` → people, people without a network.
struct Counter {
    filter: Filter,
    matcher: Matcher,
    mode: TextColumn,
    stages: [[u64; 3]; STAGES.len()],
    /// By code of the display mode.
    modes: Vec<Mode>,
    /// People who used it without a network, and all.
    offline: u64,
    persons: u64,
    /// Number of the person, from 1.
    person: u64,
}

#[derive(Clone, Copy, Default)]
struct Mode {
    events: u64,
    persons: u64,
    returned: u64,
    /// The last person, their first event, and whether they came back.
    last: u64,
    first_ms: i64,
    is_back: bool,
}

impl Mode {
    fn add(&mut self, person: u64, at_ms: i64) {
        self.events += 1;
        if self.last != person {
            self.persons += 1;
            (self.last, self.first_ms, self.is_back) = (person, at_ms, false);
        } else if !self.is_back && at_ms - self.first_ms >= DAY_MS {
            self.returned += 1;
            self.is_back = true;
        }
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.filter.learn(dictionaries);
        self.matcher.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.person += 1;
        let known_modes = self.mode.dictionary(dictionaries).len();
        if self.modes.len() < known_modes {
            self.modes.resize(known_modes, Mode::default());
        }
        let modes = self.mode.of(run);
        let (mut seen, mut after, mut is_here) = (0u64, 0u64, false);
        for (row, mode) in modes.iter().enumerate() {
            if !self.filter.passes(run, row) {
                continue;
            }
            is_here = true;
            self.modes[*mode as usize].add(self.person, run.ts[row]);
            let stages = self.matcher.mask(run, row);
            if stages == 0 {
                continue; // As most rows are.
            }
            after |= stages & (seen << 1);
            seen |= stages;
            for (stage, counts) in self.stages.iter_mut().enumerate() {
                counts[0] += stages >> stage & 1;
            }
        }
        self.persons += u64::from(is_here);
        self.offline += seen >> STAGES.len() & 1;
        for (stage, counts) in self.stages.iter_mut().enumerate() {
            counts[1] += seen >> stage & 1;
            counts[2] += after >> stage & 1;
        }
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for (stage, counts) in self.stages.iter().enumerate() {
            if counts[0] > 0 {
                let row = counts.map(|count| count as f64);
                partial.add(vec![Key::Int(0), stage.into()], &row);
            }
        }
        for (code, own) in self.modes.iter().enumerate().filter(|(_, mode)| mode.events > 0) {
            let mode = self.mode.dictionary(dictionaries).text(code as u32);
            let row = [own.events, own.persons, own.returned].map(|count| count as f64);
            partial.add(vec![Key::Int(1), Key::from_text(mode)], &row);
        }
        if self.persons > 0 {
            partial.add(vec![Key::Int(2)], &[self.persons as f64, self.offline as f64]);
        }
        partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Event, Memory, Scan};
    use serde_json::json;

    /// 2026-09-01T00:00:00Z.
    const T0: i64 = 1_788_220_800_000;

    fn ask(events: Vec<Event>, scan: Scan) -> PwaAnswer {
        let context = Context::utc(T0 + 86_400_000);
        let question = json!({ "from": "2026-09-01", "to": "2026-09-02" });
        match Memory::new(events).answer_by("pwa", question, &context, scan).unwrap().body {
            AnswerBody::Pwa(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn story() -> Vec<Event> {
        let prompt = |person, at, outcome: &str| {
            Event::new(person, T0 + at, "$pwa_prompt").with("outcome", outcome)
        };
        let launch = |person, at, mode: &str| {
            Event::new(person, T0 + at, "$pwa_launch").with("display_mode", mode)
        };
        vec![
            prompt(1, 0, "shown"),
            prompt(1, 1, "accepted"),
            Event::new(1, T0 + 2, "$pwa_install"),
            launch(1, 3, "standalone"),
            launch(1, 4, "standalone"),
            prompt(2, 0, "shown"),
            prompt(2, 1, "dismissed"),
            prompt(2, 2, "shown"),
            Event::new(3, T0, "$pwa_install"),
            launch(3, 1, "browser"),
            launch(4, 1, "fullscreen"),
            Event::new(4, T0 + 2, "$pwa_install"),
            Event::new(5, T0, "$pageview"),
        ]
    }

    #[test]
    fn each_stage_counts_for_itself_and_after_the_one_before() {
        let answer = ask(story(), Scan::default());
        let stages: Vec<_> = answer
            .stages
            .iter()
            .map(|s| (s.count, s.persons, s.persons_after_previous, s.from_previous_ratio))
            .collect();
        assert_eq!(
            stages,
            [
                (3, 2, 2, None),
                (1, 1, 1, Some(0.5)),
                (3, 3, 1, Some(1.0)),
                (3, 2, 1, Some(1.0 / 3.0)),
            ]
        );
    }

    #[test]
    fn who_comes_back_to_the_app_is_told_from_who_comes_back_to_a_tab() {
        let seen = |person, at, mode: &str| {
            Event::new(person, T0 + at, "$pageview").with("display_mode", mode)
        };
        let events = vec![
            seen(1, 0, "standalone"),
            seen(1, DAY_MS - 1, "browser"),
            seen(1, DAY_MS, "standalone"),
            seen(1, DAY_MS + 1, "standalone"),
            seen(2, 0, "standalone"),
            seen(2, DAY_MS - 1, "standalone"),
            seen(3, 5, "browser"),
            Event::new(3, T0 + 6, "pwa_used_offline").with("display_mode", "browser"),
        ];
        let question = json!({ "from": "2026-09-01", "to": "2026-09-04" });
        let context = Context::utc(T0 + 9 * DAY_MS);
        let answer = Memory::new(events).answer("pwa", question, &context).unwrap();
        let AnswerBody::Pwa(answer) = answer.body else { panic!("{answer:?}") };
        let modes = answer.display_modes.iter().map(|mode| {
            (mode.display_mode.as_deref(), mode.persons, mode.returned, mode.returned_ratio)
        });
        let want = [(Some("browser"), 2, 0, Some(0.0)), (Some("standalone"), 2, 1, Some(0.5))];
        assert_eq!(modes.collect::<Vec<_>>(), want);
        assert_eq!((answer.persons, answer.offline_persons), (3, 1));
        assert_eq!(answer.offline_ratio, Some(1.0 / 3.0));
    }

    #[test]
    fn display_modes_count_people_once() {
        let answer = ask(story(), Scan { kernels: 3, reverse_codes: true });
        let modes: Vec<_> = answer
            .display_modes
            .iter()
            .map(|mode| (mode.display_mode.as_deref(), mode.events, mode.persons))
            .collect();
        let want = [
            (None, 9, 5),
            (Some("browser"), 1, 1),
            (Some("fullscreen"), 1, 1),
            (Some("standalone"), 2, 1),
        ];
        assert_eq!(modes, want);
    }
}
