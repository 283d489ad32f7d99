//! Experiments: arms, differences with their uncertainty, and what to make of them.

use tallymark_analysis::answer::{
    ArmMetric, Bounds, CheckStatus, Code, Effect, Excluded, ExperimentAnswer, ExperimentStatus,
    MetricResult, SrmStatus, VerdictReason,
};

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::interval::{self, Estimate, Scale};
use super::super::words::{heard, n, say, t};
use super::{Reply, Section, experiment_of};
use crate::experiments::life::State;

/// One experiment.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its key.
    pub key: String,
    /// People in its arms.
    pub people: String,
    /// How the verdict looks: `good`, `bad`, `warn` or nothing.
    pub tone: &'static str,
    /// One or two words.
    pub state: &'static str,
    /// The verdict in plain words.
    pub verdict: String,
    /// The metric that decides.
    pub metric: String,
    /// What is compared of it.
    pub figure: &'static str,
    /// The arms.
    pub arms: Vec<Arm>,
    /// The numbers under the rates.
    pub axis: Markup,
    /// Whether the arms have the sizes they should have, and who is left out.
    pub checks: Vec<Check>,
}

/// One arm.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Its key.
    pub name: String,
    /// Whether the others are compared to it.
    pub control: bool,
    /// People in it.
    pub people: String,
    /// People who converted.
    pub conversions: String,
    /// What is compared: their share, or the figure of another kind of metric.
    pub rate: String,
    /// The rate with its interval; nothing for other figures.
    pub whisker: Markup,
    /// Against control.
    pub lift: String,
    /// The interval of the difference, 95 %, in percentage points for rates. Of the two intervals this is
    /// the one that belongs to p: that of the lift divides by an uncertain rate.
    pub difference: String,
    /// Chance of a difference at least this large without an effect.
    pub p: String,
}

/// One check.
#[derive(Debug, Clone)]
pub struct Check {
    /// `good`, `bad`, `warn` or nothing.
    pub class: &'static str,
    /// In words.
    pub text: String,
    /// More words, on hover.
    pub title: String,
}

/// One experiment's section; `state` is where it is in its life, if it is defined here.
pub fn experiment(key: &str, state: Option<State>, reply: &Reply) -> Section<Experiment> {
    let answer = match experiment_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    match answer.metrics.first() {
        Some(metric) if answer.arms.iter().any(|arm| arm.persons > 0) => {
            Section::Ready(build(answer, metric))
        }
        _ => {
            let why = match state.filter(|_| answer.excluded == Excluded::default()) {
                Some(State::Draft) => n("“{key}” is a draft: nobody meets it before it runs."),
                Some(State::Paused) => n("“{key}” is paused, and nobody met it before."),
                Some(_) => n("“{key}” is running, and nobody has met it yet."),
                None => n("“{key}” has exposures, but no one who saw exactly one variant."),
            };
            Section::empty(t("Nobody is in its arms yet"), say(why, &[("key", key)]))
        }
    }
}

fn build(answer: &ExperimentAnswer, metric: &MetricResult) -> Experiment {
    let unit = Unit::of(metric);
    let rates: Vec<Option<Estimate>> =
        metric.arms.iter().map(|arm| rate_of(arm).filter(|_| unit == Unit::Rate)).collect();
    let known: Vec<Estimate> = rates.iter().flatten().copied().collect();
    let scale = Scale::over(&known, false).within(0.0, 1.0);
    let readable = answer.status == ExperimentStatus::Readable;
    let arms = metric.arms.iter().zip(&rates).map(|(arm, rate)| {
        let effect = metric.effects.iter().find(|effect| effect.variant == arm.variant);
        let control = answer.control.as_deref() == Some(&arm.variant);
        let class = match effect.filter(|_| readable).and_then(direction) {
            _ if control => "control",
            Some(Direction::Better) => "good",
            Some(Direction::Worse) => "bad",
            None => "arm",
        };
        arm_row(arm, unit, rate.map(|rate| (rate, scale)), effect, class, control)
    });
    let (tone, state) = tone(answer);
    Experiment {
        key: answer.experiment.clone(),
        people: format::counted(
            answer.arms.iter().map(|arm| arm.persons).sum(),
            "person",
            "people",
        ),
        tone,
        state,
        verdict: verdict(answer, metric, unit),
        metric: metric.name.clone(),
        figure: if unit == Unit::Rate { t("Rate") } else { t("Figure") },
        arms: arms.collect(),
        axis: if known.is_empty() {
            Markup::default()
        } else {
            interval::axis(scale, format::percent)
        },
        checks: checks(answer),
    }
}

/// What a metric's figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Shares of people.
    Rate,
    /// Numbers of any kind.
    Number,
}

impl Unit {
    /// What they are of this metric.
    pub fn of(metric: &MetricResult) -> Self {
        match metric.kind.as_str() {
            "conversion" | "retention" | "funnel" => Self::Rate,
            _ => Self::Number,
        }
    }

    /// What an arm has, in words.
    pub fn value(self, arm: &ArmMetric) -> String {
        match self {
            Self::Rate => format::maybe_percent(arm.value),
            Self::Number => format::maybe(arm.value),
        }
    }

    fn ends(self, range: Bounds) -> String {
        match self {
            Self::Rate => say(
                "{low} to {high} percentage points",
                &[
                    ("low", &format::signed_points(range.low)),
                    ("high", &format::signed_points(range.high)),
                ],
            ),
            Self::Number => say(
                "{low} to {high}",
                &[("low", &format::figure(range.low)), ("high", &format::figure(range.high))],
            ),
        }
    }
}

fn rate_of(arm: &ArmMetric) -> Option<Estimate> {
    let (mid, bounds) = (arm.rate?, arm.rate_interval?);
    Some(Estimate { low: bounds.low, mid, high: bounds.high })
}

fn arm_row(
    arm: &ArmMetric,
    unit: Unit,
    rate: Option<(Estimate, Scale)>,
    effect: Option<&Effect>,
    class: &'static str,
    control: bool,
) -> Arm {
    let whisker = rate.map(|(rate, scale)| {
        let title = say(
            "{variant}: {rate}, 95 % interval {low} to {high}",
            &[
                ("variant", &arm.variant),
                ("rate", &format::percent(rate.mid)),
                ("low", &format::percent(rate.low)),
                ("high", &format::percent(rate.high)),
            ],
        );
        interval::whisker(scale, rate, class, &title)
    });
    let lift = effect.and_then(|effect| effect.lift);
    let range = effect.and_then(always_valid);
    Arm {
        name: arm.variant.clone(),
        control,
        people: format::count(arm.persons),
        conversions: format::count(arm.conversions),
        rate: unit.value(arm),
        whisker: whisker.unwrap_or_default(),
        lift: lift.map_or_else(|| format::UNKNOWN.into(), format::signed_percent),
        difference: range.map_or_else(String::new, |range| unit.ends(range)),
        p: effect
            .and_then(|effect| effect.always_valid.as_ref())
            .map_or_else(|| format::UNKNOWN.into(), |found| format::p_value(found.p_value)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Better,
    Worse,
}

/// Where the difference lies, however often somebody has looked: this page invites to look.
fn always_valid(effect: &Effect) -> Option<Bounds> {
    effect.always_valid.as_ref()?.absolute_interval
}

/// Which way an effect goes, if its interval leaves no doubt.
fn direction(effect: &Effect) -> Option<Direction> {
    let bounds = always_valid(effect)?;
    match bounds {
        bounds if bounds.low > 0.0 => Some(Direction::Better),
        bounds if bounds.high < 0.0 => Some(Direction::Worse),
        _ => None,
    }
}

fn tone(answer: &ExperimentAnswer) -> (&'static str, &'static str) {
    match (answer.verdict.code, answer.verdict.reason) {
        (Code::Ship, _) => ("good", t("Ship")),
        (Code::DoNotShip, VerdictReason::Worse | VerdictReason::GuardrailHurt) => {
            ("bad", t("Do not ship"))
        }
        (Code::DoNotShip, _) => ("", t("Do not ship")),
        (Code::KeepRunning, _) => ("", t("Keep running")),
        (Code::Invalid, _) => ("warn", t("Do not trust")),
        (Code::NotEnoughData, _) => ("", t("Not enough data")),
    }
}

/// What to do, and what a colleague would say of it who knows statistics and does not want to impress
/// anybody.
fn verdict(answer: &ExperimentAnswer, metric: &MetricResult, unit: Unit) -> String {
    let control = answer.control.as_deref().unwrap_or("control");
    if answer.status != ExperimentStatus::Readable || answer.verdict.code == Code::Invalid {
        return heard(&answer.verdict.text);
    }
    let value = |variant: &str| {
        let arm = metric.arms.iter().find(|arm| arm.variant == variant);
        arm.map_or_else(|| format::UNKNOWN.into(), |arm| unit.value(arm))
    };
    let sentences = metric.effects.iter().map(|effect| {
        let (variant, here, there) = (&effect.variant, value(&effect.variant), value(control));
        let Some((lift, range)) = effect.lift.zip(always_valid(effect)) else {
            return say(
                "“{variant}” cannot be compared to “{control}” yet.",
                &[("variant", variant), ("control", control)],
            );
        };
        let range = unit.ends(range);
        match direction(effect) {
            Some(way) => {
                let found = effect.always_valid.as_ref();
                let chance = found.map_or(String::new(), |found| chance(found.p_value));
                let change = format::signed_percent(lift);
                let values = [
                    ("variant", &**variant),
                    ("control", control),
                    ("here", &here),
                    ("there", &there),
                    ("change", &change),
                    ("range", &range),
                ];
                let above = way == Direction::Better;
                let sentence = if above {
                    say("“{variant}” lies above “{control}”: {here} against {there}, a change of {change}. The difference is {range} with 95 % confidence.", &values)
                } else {
                    say("“{variant}” lies below “{control}”: {here} against {there}, a change of {change}. The difference is {range} with 95 % confidence.", &values)
                };
                sentence + &chance
            }
            None => say(
                "No difference between “{variant}” and “{control}” can be told from chance so far: {here} against {there}. What was seen fits any difference from {range}.",
                &[
                    ("variant", variant),
                    ("control", control),
                    ("here", &here),
                    ("there", &there),
                    ("range", &range),
                ],
            ),
        }
    });
    std::iter::once(heard(&answer.verdict.text)).chain(sentences).collect::<Vec<_>>().join(" ")
}

fn chance(p: f64) -> String {
    match p {
        p if !p.is_finite() || p >= 0.5 => String::new(),
        p if p < 0.001 => {
            format!(
                " {}",
                t(
                    "Without any effect, fewer than 1 of 1,000 such tests would ever show a difference this large."
                )
            )
        }
        p => {
            let n = format::count((1.0 / p).round() as u64);
            let said = say(
                "Without any effect, 1 of {n} such tests would ever show a difference this large.",
                &[("n", &n)],
            );
            format!(" {said}")
        }
    }
}

fn checks(answer: &ExperimentAnswer) -> Vec<Check> {
    let p = answer.srm.p_value.map_or_else(|| format::UNKNOWN.into(), format::p_value);
    let (class, text) = match answer.srm.status {
        SrmStatus::Ok => ("good", t("Sample ratio as planned").to_owned()),
        SrmStatus::Mismatch => ("bad", t("Sample ratio mismatch").to_owned()),
        SrmStatus::NotEnoughData => ("", t("Sample ratio: too few people to check").to_owned()),
    };
    let title = say(
        "Chi-squared test of the arms' sizes against the split they should have: p {p}. An alarm below 0.001 blocks the verdict.",
        &[("p", &p)],
    );
    let mut checks = vec![Check { class, text, title }];
    if let Some(loss) = &answer.checks.loss {
        let arms = loss.arms.iter().map(|arm| {
            let share = format::maybe_percent(arm.completeness_ratio);
            say(
                "{variant}: {share} of events arrived",
                &[("variant", &arm.variant), ("share", &share)],
            )
        });
        let (class, text) = match loss.status {
            CheckStatus::Failed => ("bad", t("Arms lose differently")),
            CheckStatus::NotEnoughData => ("", t("Loss: too little to compare")),
            CheckStatus::Ok | CheckStatus::Warning => ("good", t("Arms lose alike")),
        };
        let title = arms.collect::<Vec<_>>().join("; ");
        checks.push(Check { class, text: text.into(), title });
    }
    let mut count = |n: u64, class, one: &'static str, many: &'static str, title: &str| {
        if n > 0 {
            let text = format::counted(n, one, many);
            checks.push(Check { class, text, title: title.into() });
        }
    };
    let excluded = answer.excluded;
    let people: u64 = answer.arms.iter().map(|arm| arm.persons).sum();
    // From one in a hundred on, leaving them out may bias what remains.
    let class = if excluded.multi_variant * 100 > people { "warn" } else { "" };
    count(
        excluded.multi_variant,
        class,
        "person saw two variants",
        "people saw two variants",
        t("They are in no arm."),
    );
    count(
        excluded.unknown_variant,
        "warn",
        "person in an unknown variant",
        "people in unknown variants",
        t("They saw a variant that the question does not list."),
    );
    count(
        excluded.variant_mismatch,
        "warn",
        "conversion named another variant",
        "conversions named another variant",
        t("They count for the variant that the person was exposed to first."),
    );
    checks
}
