//! How often the verdict of an experiment errs: many experiments made up and judged by the real binary.
//!
//! Each line asks `tallymark stats` for the verdict of one look, and every look sees what came before
//! it. Where nothing was planted, whatever decides is an error; where something was, it should be found
//! with the power that the planner promised for this size. People are assigned by a coin, so the test of
//! the arms' sizes has its part in it.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::shell::step;

/// Experiments of each kind, and looks at each.
pub(super) const TRIALS: u32 = 20_000;
const LOOKS: u32 = 30;
/// Those of them that a group-sequential plan has.
const PLANNED: [u32; 4] = [8, 15, 22, LOOKS];
/// People of both arms between two looks where nothing is planned.
const PEOPLE: u32 = 1_000;
const BASELINE: f64 = 0.1;
/// What is planted: of control's rate.
const LIFT: f64 = 0.2;
const POWER: f64 = 0.8;
const ALPHA: f64 = 0.05;
const SEED: u64 = 20_261_126;

/// How experiments of a kind are judged.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    method: &'static str,
    /// Whether every look is taken for the planned end, as people do who peek.
    peeks: bool,
    lift: f64,
    /// The share of people that is assigned to the treatment; half is what should be.
    split: f64,
    /// People of both arms at the end.
    people: u32,
    /// What the always-valid interval is tuned to.
    tuning: f64,
}

/// What became of the experiments of a kind.
#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    trials: u32,
    better: u32,
    worse: u32,
    /// The sizes of the arms raised an alarm at some look.
    invalid: u32,
}

/// Measure; the lines to print.
///
/// # Errors
/// When the binary does not run, and when the default verdict errs more often or finds less than
/// it promises.
pub(super) fn trials(binary: &Path, trials: u32) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![format!(
        "Verdicts of {trials} experiments of each kind, {LOOKS} looks each, seed {SEED}:"
    )];
    // What chance may add: three standard deviations.
    let slack = |share: f64| 3.0 * (share * (1.0 - share) / f64::from(trials)).sqrt();
    for kind in kinds(binary)? {
        let what = format!("{} experiments: {}", trials, kind.name);
        let outcome = step(&what, || judge(binary, kind, trials))?;
        let share = |count: u32| f64::from(count) / f64::from(outcome.trials);
        let decided = share(outcome.better + outcome.worse);
        lines.push(format!(
            "{}: better {:.2} %, worse {:.2} %, stopped by the sizes' alarm {:.2} %",
            kind.name,
            100.0 * share(outcome.better),
            100.0 * share(outcome.worse),
            100.0 * share(outcome.invalid)
        ));
        if kind.split != 0.5 {
            let stopped = share(outcome.invalid);
            ensure!(stopped >= 0.95, "{kind:?} is stopped in {stopped}");
        } else if kind.lift == 0.0 && !kind.peeks {
            ensure!(decided <= ALPHA + slack(ALPHA), "{kind:?} errs in {decided}");
        } else if kind.lift != 0.0 {
            let found = share(if kind.lift > 0.0 { outcome.better } else { outcome.worse });
            ensure!(found >= POWER - 0.01 - slack(POWER), "{kind:?} finds {found} of {POWER}");
        }
    }
    Ok(lines)
}

/// What is tried. Sizes come from the planner of the same binary.
fn kinds(binary: &Path) -> anyhow::Result<Vec<Kind>> {
    let planned = |alpha: f64| {
        let got = ask(
            binary,
            "sample_size_proportion_pooled",
            json!({ "baseline": BASELINE, "relative_mde": LIFT, "alpha": alpha, "power": POWER }),
        )?;
        got["n_treatment"].as_f64().context("a size")
    };
    let people = |per_arm: f64| (2.0 * per_arm).ceil() as u32;
    let fixed = planned(ALPHA)?;
    // A hybrid keeps four fifths of the error for the end.
    let hybrid = planned(0.8 * ALPHA)?;
    // At its planned size the always-valid interval is 1.55 times as wide as the fixed one.
    let (z_alpha, z_power): (f64, f64) = (1.959_963_984_540_054, 0.841_621_233_572_914_3);
    let wider = |width: f64| fixed * ((width * z_alpha + z_power) / (z_alpha + z_power)).powi(2);
    let sequential = wider(1.55);
    // √(2 (ln 2 − 2 ln α)) standard errors at its planned size.
    let mixture = wider((2.0 * (2f64.ln() - 2.0 * ALPHA.ln())).sqrt() / z_alpha);
    // Four bounds end 3 % above the fixed one.
    let bounds = wider(1.03);
    let default = Kind {
        name: "nothing planted, sequential (the default)",
        method: "sequential",
        peeks: false,
        lift: 0.0,
        split: 0.5,
        people: LOOKS * PEOPLE,
        tuning: 5_000.0,
    };
    let found = |name, method, per_arm: f64| Kind {
        name,
        method,
        lift: LIFT,
        people: people(per_arm),
        tuning: 2.0 * per_arm,
        ..default
    };
    Ok(vec![
        default,
        Kind { name: "nothing planted, hybrid", method: "hybrid", ..default },
        Kind { name: "nothing planted, fixed", method: "fixed", ..default },
        Kind {
            name: "nothing planted, a fixed test at every look (never done)",
            method: "fixed",
            peeks: true,
            ..default
        },
        Kind { name: "nothing planted, mixture SPRT", method: "mixture_sprt", ..default },
        Kind { name: "nothing planted, group-sequential", method: "group_sequential", ..default },
        found("a lift of 20 % planted, sequential", "sequential", sequential),
        found("a lift of 20 % planted, hybrid", "hybrid", hybrid),
        found("a lift of 20 % planted, fixed", "fixed", fixed),
        found("a lift of 20 % planted, mixture SPRT", "mixture_sprt", mixture),
        found("a lift of 20 % planted, group-sequential", "group_sequential", bounds),
        Kind {
            lift: -LIFT,
            ..found("a fall of 20 % planted, sequential", "sequential", sequential)
        },
        Kind { name: "a split of 48 to 52, sequential", split: 0.52, ..default },
    ])
}

fn judge(binary: &Path, kind: Kind, trials: u32) -> anyhow::Result<Outcome> {
    let mut child = Command::new(binary)
        .arg("stats")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the binary does not start")?;
    let stdin = child.stdin.take().context("no pipe to the binary")?;
    let stdout = child.stdout.take().context("no pipe from the binary")?;
    let writer = std::thread::spawn(move || make_up(BufWriter::new(stdin), kind, trials));
    let mut outcome = Outcome { trials, ..Outcome::default() };
    let mut answers = BufReader::new(stdout).lines();
    for _ in 0..trials {
        // What was decided at the first look that decided anything.
        let mut decided = false;
        for _ in 0..LOOKS {
            let line = answers.next().context("the binary ended early")??;
            let answer: Value = serde_json::from_str(&line)?;
            let (code, reason) = (&answer["got"]["code"], &answer["got"]["reason"]);
            if decided {
                continue;
            }
            let count = match (code.as_str(), reason.as_str()) {
                (Some("ship"), _) => &mut outcome.better,
                (Some("do_not_ship"), Some("worse")) => &mut outcome.worse,
                (Some("invalid"), _) => &mut outcome.invalid,
                (Some("keep_running" | "do_not_ship" | "not_enough_data"), _) => continue,
                _ => bail!("no verdict: {line}"),
            };
            *count += 1;
            decided = true;
        }
    }
    writer.join().map_err(|_| anyhow::anyhow!("the writer failed"))??;
    ensure!(child.wait()?.success(), "the binary failed");
    Ok(outcome)
}

/// Experiments of a kind, one line a look.
fn make_up(mut out: impl Write, kind: Kind, trials: u32) -> std::io::Result<()> {
    let mut random = Random(SEED);
    let Kind { method, peeks, lift, split, people, tuning, .. } = kind;
    let rates = [BASELINE, BASELINE * (1.0 + lift)];
    for _ in 0..trials {
        let (mut n, mut converted) = ([0u32; 2], [0u32; 2]);
        for look in 1..=LOOKS {
            let so_far = u64::from(people) * u64::from(look) / u64::from(LOOKS);
            let more = so_far as u32 - (n[0] + n[1]);
            let treated = random.successes(more, split);
            for (arm, more) in [more - treated, treated].into_iter().enumerate() {
                n[arm] += more;
                converted[arm] += random.successes(more, rates[arm]);
            }
            let is_final = peeks || look == LOOKS;
            let is_planned = method == "group_sequential" && PLANNED.contains(&look);
            let planned = PLANNED.iter().filter(|at| is_planned && **at <= look);
            let shares: Vec<f64> = planned.map(|at| f64::from(*at) / f64::from(LOOKS)).collect();
            writeln!(
                out,
                r#"{{"id":0,"fn":"experiment_verdict","input":{{"metric":"proportion","control":{{"n":{},"sum":{}}},"treatments":[{{"n":{},"sum":{}}}],"method":"{method}","is_final":{is_final},"tuning_parameter":{tuning},"shares":{shares:?}}}}}"#,
                n[0], converted[0], n[1], converted[1]
            )?;
        }
    }
    out.flush()
}

fn ask(binary: &Path, function: &str, input: Value) -> anyhow::Result<Value> {
    let line = json!({ "id": 0, "fn": function, "input": input }).to_string();
    let mut child =
        Command::new(binary).arg("stats").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no pipe to the binary")?.write_all(line.as_bytes())?;
    let answer: Value = serde_json::from_slice(&child.wait_with_output()?.stdout)?;
    Ok(answer["got"].clone())
}

/// Random numbers that a seed repeats: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
struct Random(u64);

impl Random {
    /// Above 0, at most 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 4.0
    }

    /// How many of `n` succeed, each with chance `p`: from one success to the next.
    fn successes(&mut self, n: u32, p: f64) -> u32 {
        let ln_failure = (1.0 - p).ln();
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += (self.share().ln() / ln_failure).floor() + 1.0;
            if at > f64::from(n) {
                return count;
            }
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_are_binomial() {
        let mut random = Random(SEED);
        let counts: Vec<f64> = (0..4_000).map(|_| f64::from(random.successes(500, 0.1))).collect();
        let mean = counts.iter().sum::<f64>() / 4_000.0;
        let variance = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / 3_999.0;
        assert!((mean - 50.0).abs() < 0.5, "{mean}");
        assert!((variance - 45.0).abs() < 4.5, "{variance}");
        assert_eq!(random.successes(0, 0.5), 0);
    }

    #[test]
    fn a_seed_repeats_what_is_made_up() {
        let kind = Kind {
            name: "",
            method: "fixed",
            peeks: false,
            lift: 0.0,
            split: 0.5,
            people: 3_000,
            tuning: 5_000.0,
        };
        let made = || {
            let mut out = Vec::new();
            make_up(&mut out, kind, 2).unwrap();
            out
        };
        assert_eq!(made(), made());
        let text = String::from_utf8(made()).unwrap();
        assert_eq!(text.lines().count(), 60);
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["input"]["method"], "fixed");
        }
    }
}
