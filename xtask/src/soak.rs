//! `cargo xtask soak`: the long forms of the proofs of durability, and the page with their results.
//!
//! Each proof is a test that also runs in `cargo xtask test`, in a short form; here it gets its full
//! amount, a seed, and a bound in minutes (`TALLYMARK_TEST_MINUTES` gives all of them another one). A
//! proof that has passed on this commit is not run again, so a run that was broken off goes on where it
//! was. The outcome of each is kept in `target/soak/`; a full run writes them into
//! `tests/RELIABILITY.md`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::shell::{cargo, command, quiet, seconds};
use crate::test::{Counts, heard};
use crate::{build, build_sdk, root, setup};

/// A proof.
struct Proof {
    name: &'static str,
    /// Its number in the list of reliability tests.
    number: &'static str,
    shows: &'static str,
    tests: Tests,
    /// The amounts of the full form.
    full: &'static [(&'static str, &'static str)],
    /// When the full form ends at the latest; it says how far it came.
    minutes: u32,
    needs: fn() -> anyhow::Result<()>,
}

/// Where the tests of a proof are.
enum Tests {
    /// A filter of `tests/tests/e2e`, which runs the real binary.
    EndToEnd(&'static str),
    /// A filter of the store's own tests, on a disk in memory. They count their seeds from 0.
    Store(&'static str),
    /// The fuzz tests of the collector.
    Fuzz,
    /// Specs of `tests/browser`: the packed package in Chromium.
    Browser(&'static [&'static str]),
}

const PROOFS: &[Proof] = &[
    Proof {
        name: "crash",
        number: "1",
        shows: "SIGKILL at random moments under load",
        tests: Tests::EndToEnd("crash::"),
        full: &[("TALLYMARK_TEST_KILLS", "1000")],
        minutes: 40,
        needs: || Ok(()),
    },
    Proof {
        name: "power_loss",
        number: "2",
        shows: "a disk in memory forgets, reorders and tears what was not synced",
        tests: Tests::Store("faults::power_loss::"),
        full: &[("TALLYMARK_TEST_SEEDS", "100000")],
        minutes: 60,
        needs: || Ok(()),
    },
    Proof {
        name: "power",
        number: "3",
        shows: "ext4 loses power under load",
        tests: Tests::EndToEnd("power::"),
        full: &[("TALLYMARK_TEST_POWER_ROUNDS", "500")],
        minutes: 30,
        needs: setup::mounts,
    },
    Proof {
        name: "damage",
        number: "4, 5",
        shows: "every changed bit and every torn end of a log and a segment of 64 KiB is found",
        tests: Tests::Store("faults::damage::"),
        full: &[("TALLYMARK_TEST_SEEDS", "700000")],
        minutes: 30,
        needs: || Ok(()),
    },
    Proof {
        name: "disk_full",
        number: "6",
        shows: "a disk of 64 MiB fills up and gets room again",
        tests: Tests::EndToEnd("disk_full::"),
        full: &[("TALLYMARK_TEST_FULL_DISKS", "100")],
        minutes: 10,
        needs: setup::mounts,
    },
    Proof {
        name: "disk_errors",
        number: "7",
        shows: "the n-th sync, write or allocation fails, n = 1 to 200",
        tests: Tests::EndToEnd("disk_errors::"),
        full: &[("TALLYMARK_TEST_DISK_ERRORS", "1400")],
        minutes: 70,
        needs: setup::strace,
    },
    Proof {
        name: "errors",
        number: "7",
        shows: "any call of a disk in memory fails once",
        tests: Tests::Store("faults::errors::"),
        full: &[("TALLYMARK_TEST_SEEDS", "200")],
        minutes: 20,
        needs: || Ok(()),
    },
    Proof {
        name: "order",
        number: "8",
        shows: "no answer before its bytes are synced, no name before its folder is",
        tests: Tests::EndToEnd("order::"),
        full: &[("TALLYMARK_TEST_TRACED_ACKS", "10000")],
        minutes: 10,
        needs: setup::strace,
    },
    Proof {
        name: "points",
        number: "9",
        shows: "a kill or a loss of power at every point of flush, merge and log",
        tests: Tests::Store("faults::points::"),
        full: &[("TALLYMARK_TEST_SEEDS", "20")],
        minutes: 20,
        needs: || Ok(()),
    },
    Proof {
        name: "simulation",
        number: "10",
        shows: "any life of a store answers like a plain list",
        tests: Tests::Store("faults::simulation::"),
        full: &[("TALLYMARK_TEST_SEEDS", "1000000")],
        minutes: 40,
        needs: || Ok(()),
    },
    Proof {
        name: "resend",
        number: "12",
        shows: "1,000,000 events sent three times, shuffled, across restarts, in the store's process",
        tests: Tests::Store("faults::resend::"),
        full: &[("TALLYMARK_TEST_SEEDS", "1"), ("TALLYMARK_TEST_EVENTS", "1000000")],
        minutes: 20,
        needs: || Ok(()),
    },
    Proof {
        name: "clock",
        number: "11",
        shows: "the wall clock jumps every second under load",
        tests: Tests::EndToEnd("clock::"),
        full: &[("TALLYMARK_TEST_CLOCK_JUMPS", "300")],
        minutes: 10,
        needs: || Ok(()),
    },
    Proof {
        name: "exactly_once",
        number: "12, 13",
        shows: "sent three times, shuffled, across restarts; answers lost after the commit",
        tests: Tests::EndToEnd("exactly_once::"),
        full: &[("TALLYMARK_TEST_DUPLICATES", "100000"), ("TALLYMARK_TEST_LOST_ANSWERS", "100000")],
        minutes: 15,
        needs: || Ok(()),
    },
    Proof {
        name: "quarantine",
        number: "14",
        shows: "10,000 invalid of 100,000 are listed, mended and sent again",
        tests: Tests::EndToEnd("quarantine::"),
        full: &[("TALLYMARK_TEST_QUARANTINE", "100000")],
        minutes: 10,
        needs: || Ok(()),
    },
    Proof {
        name: "backup",
        number: "15",
        shows: "backups under load are one moment; damaged ones are refused",
        tests: Tests::EndToEnd("backup::"),
        full: &[("TALLYMARK_TEST_BACKUPS", "50")],
        minutes: 20,
        needs: || Ok(()),
    },
    Proof {
        name: "endurance",
        number: "16",
        shows: "30 minutes of ingest, questions and merges; SIGTERM under load",
        tests: Tests::EndToEnd("endurance::"),
        full: &[("TALLYMARK_TEST_ENDURANCE_SECONDS", "1800"), ("TALLYMARK_TEST_STOPS", "100")],
        minutes: 40,
        needs: || Ok(()),
    },
    Proof {
        name: "connections",
        number: "17, 18",
        shows: "slow clients by the thousand, ambiguous requests",
        tests: Tests::EndToEnd("connections::"),
        full: &[("TALLYMARK_TEST_SLOW", "1000")],
        minutes: 5,
        needs: || Ok(()),
    },
    Proof {
        name: "fuzz",
        number: "24, 25",
        shows: "made-up batches, questions, headers and files to import: nothing panics, nothing takes long",
        tests: Tests::Fuzz,
        full: &[("TALLYMARK_TEST_INPUTS", "10000000")],
        minutes: 10,
        needs: || Ok(()),
    },
    Proof {
        name: "fuzz_log",
        number: "25",
        shows: "made-up pages of the log are read or refused",
        tests: Tests::Store("wal::fuzz::"),
        full: &[("TALLYMARK_TEST_INPUTS", "10000000")],
        minutes: 10,
        needs: || Ok(()),
    },
    Proof {
        name: "browser",
        number: "43 to 57",
        shows: "closed tabs, killed browsers, no network, shared queues, bad networks, bodies, storage, clocks, losses, hostile pages, marked values",
        tests: Tests::Browser(&[
            "durable", "modules", "cost", "bodies", "storage", "clocks", "meter", "hostile",
            "canary",
        ]),
        full: &[
            ("TALLYMARK_TEST_TABS_CLOSED", "100"),
            ("TALLYMARK_TEST_BROWSERS_KILLED", "50"),
            ("TALLYMARK_TEST_OFFLINE", "20"),
            ("TALLYMARK_TEST_TAB_EVENTS", "3000"),
            ("TALLYMARK_TEST_CHAOS", "10000"),
            ("TALLYMARK_TEST_WAYS_BACK", "50"),
            ("TALLYMARK_TEST_METERED", "50"),
            ("TALLYMARK_TEST_ADDRESSES", "1000"),
        ],
        minutes: 90,
        needs: || {
            build_sdk::build_sdk(&root())?;
            setup::npm("tests/browser", &build::packages()?)?;
            setup::chromium().map(drop)
        },
    },
];

/// Run all proofs, or those named. `--list` names them, `--short` takes the amounts of CI, `--again`
/// runs also what has passed on this commit.
///
/// # Errors
/// When a proof failed or could not run.
pub fn soak(arguments: &[String]) -> anyhow::Result<()> {
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let known = ["--list", "--short", "--again"];
    let unknown = options.iter().find(|option| !known.contains(option));
    ensure!(unknown.is_none(), "there is no {unknown:?}; there are {}", known.join(", "));
    if options.contains(&"--list") {
        for Proof { name, number, shows, full, .. } in PROOFS {
            let amounts: Vec<_> =
                full.iter().map(|(key, amount)| format!("{key}={amount}")).collect();
            println!("{name:<13} {number:>6}  {shows}\n{:22}{}", "", amounts.join(" "));
        }
        return Ok(());
    }
    let unknown = names.iter().find(|name| PROOFS.iter().all(|proof| proof.name != **name));
    ensure!(
        unknown.is_none(),
        "no proof is named {unknown:?}; `cargo xtask soak --list` names them"
    );
    let is_short = options.contains(&"--short");
    let commit = commit()?;
    build::collector()?;

    let mut failed = Vec::new();
    for proof in PROOFS.iter().filter(|proof| names.is_empty() || names.contains(&proof.name)) {
        let passed_before = recorded(proof)
            .is_some_and(|record| record["commit"] == *commit && record["passed"] == true);
        if passed_before && !is_short && !options.contains(&"--again") {
            println!("━━ {}: has passed on this commit; --again runs it again", proof.name);
            continue;
        }
        if !run(proof, is_short, &commit)? {
            failed.push(proof.name);
        }
    }
    if !is_short {
        publish()?;
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Run one proof and keep what came of it; says whether it passed.
fn run(proof: &Proof, is_short: bool, commit: &str) -> anyhow::Result<bool> {
    println!("\n━━ {} ({}): {}", proof.name, proof.number, proof.shows);
    let seed = seed(proof);
    let from = Instant::now();
    let mut figures = Vec::new();
    let counts = (proof.needs)().and_then(|()| {
        let mut command = tests(proof, is_short);
        if let Some(seed) = seed {
            command.env("TALLYMARK_TEST_SEED", seed.to_string());
        }
        if !is_short {
            command.envs(proof.full.iter().copied());
            let minutes = std::env::var("TALLYMARK_TEST_MINUTES");
            let minutes = minutes.unwrap_or_else(|_| proof.minutes.to_string());
            command.env("TALLYMARK_TEST_MINUTES", minutes);
        }
        heard(&mut command, &mut |line| {
            // Quiet tests put a dot for each that passed in front of what the next one prints.
            let line = line.trim_start_matches('.');
            if let Some(figure) =
                line.strip_prefix("figure: ").or_else(|| line.strip_prefix("soak: "))
            {
                figures.push(figure.to_owned());
            }
        })
    });
    let Counts { passed, failed } = counts.unwrap_or_else(|error| {
        println!("{error:#}");
        figures.push(format!("not run: {}", error.root_cause()));
        Counts { passed: 0, failed: 1 }
    });
    let is_passed = failed == 0 && passed > 0;
    println!("{} {} in {}", proof.name, word(is_passed), seconds(from.elapsed()));
    if !is_short {
        let record = json!({
            "commit": commit, "seed": seed, "passed": is_passed, "figures": figures,
            "seconds": from.elapsed().as_secs(),
        });
        let file = record_file(proof);
        fs::create_dir_all(file.parent().context("a record is in a folder")?)?;
        fs::write(file, record.to_string())?;
    }
    Ok(is_passed)
}

fn tests(proof: &Proof, is_short: bool) -> Command {
    // Millions of cases, and millions of events to compare: the full forms want an optimised build.
    let profile = if is_short { "dev" } else { "fast" };
    let of: &[&str] = match proof.tests {
        Tests::EndToEnd(filter) => &["-p", "tallymark-tests", "--test", "e2e", filter],
        Tests::Store(filter) => &["-p", "tallymark-store", "--lib", filter],
        Tests::Fuzz => &["-p", "tallymark", "--test", "fuzz"],
        Tests::Browser(specs) => {
            let mut command =
                command(&root().join("tests/browser"), "npm", &["test", "--silent", "--"]);
            command.args(specs).env("TALLYMARK_BIN", build::binary());
            command.envs(setup::chromium().ok().map(|chromium| ("CHROMIUM", chromium)));
            return command;
        }
    };
    let mut command = cargo(&root(), &["test", "--quiet", "--profile", profile]);
    command.args(of).args(["--", "--nocapture", "--test-threads", "1"]);
    command.env("TALLYMARK_BIN", build::binary());
    command
}

const PAGE: &str = "tests/RELIABILITY.md";
const BEGIN: &str = "<!-- results: begin -->\n";
const END: &str = "<!-- results: end -->\n";

/// Put what is recorded into the page. What ran somewhere else and is not recorded here stays there as it is.
fn publish() -> anyhow::Result<()> {
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page)?;
    let (head, rest) = text.split_once(BEGIN).with_context(|| format!("{PAGE} has no {BEGIN}"))?;
    let (before, tail) = rest.split_once(END).with_context(|| format!("{PAGE} has no {END}"))?;
    let mut rows = String::from(
        "| no. | proof | result | seed | commit | took |\n|---|---|---|---|---|---|\n",
    );
    for proof in PROOFS {
        let Some(record) = recorded(proof) else {
            rows += &row_before(before, proof);
            continue;
        };
        let figures: Vec<_> =
            record["figures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        rows += &format!(
            "| {} | `{}`: {} | **{}**: {} | {} | `{}` | {} |\n",
            proof.number,
            proof.name,
            proof.shows,
            word(record["passed"] == true),
            figures.join("; "),
            record["seed"].as_u64().map_or("from 0".to_owned(), |seed| seed.to_string()),
            record["commit"].as_str().unwrap_or_default(),
            seconds(std::time::Duration::from_secs(record["seconds"].as_u64().unwrap_or(0))),
        );
    }
    let machine = machine();
    fs::write(&page, format!("{head}{BEGIN}\n{machine}\n\n{rows}\n{END}{tail}"))?;
    println!("\nwritten to {PAGE}");
    Ok(())
}

/// A proof's row as the page has it, or one that says that it has not run.
fn row_before(rows: &str, Proof { number, name, shows, .. }: &Proof) -> String {
    let begin = format!("| {number} | `{name}`: {shows} |");
    let found = rows.lines().find(|row| row.starts_with(&begin));
    let row = found.map_or_else(|| format!("{begin} not run yet | | | |"), ToOwned::to_owned);
    row + "\n"
}

fn word(is_passed: bool) -> &'static str {
    if is_passed { "passed" } else { "FAILED" }
}

fn record_file(proof: &Proof) -> PathBuf {
    build::target().join("soak").join(format!("{}.json", proof.name))
}

fn recorded(proof: &Proof) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(record_file(proof)).ok()?).ok()
}

/// The commit that is checked out, with a mark when files differ from it.
fn commit() -> anyhow::Result<String> {
    let hash = quiet(&mut command(&root(), "git", &["rev-parse", "--short=10", "HEAD"]))?;
    let changed =
        quiet(&mut command(&root(), "git", &["status", "--porcelain", "--untracked-files=no"]))?;
    let others = changed.lines().filter(|line| !line.ends_with(PAGE)).count();
    Ok(hash.trim().to_owned() + if others > 0 { "+changes" } else { "" })
}

/// Processors, memory and kernel.
fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, v)| v.trim().to_owned())
    };
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kib = value(&memory, "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
    format!(
        "Machine: {cores} × {}, {} GiB, Linux {}.",
        value(&cpus, "model name"),
        kib.unwrap_or(0) >> 20,
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// The seed of one proof: the one that is to be played again, else the time. The store's proofs run
/// through many seeds, from 0.
#[expect(clippy::disallowed_methods, reason = "a chore on a developer's machine")]
fn seed(proof: &Proof) -> Option<u32> {
    let given = std::env::var("TALLYMARK_TEST_SEED");
    if let Some(seed) = given.ok().and_then(|text| text.parse().ok()) {
        return Some(seed);
    }
    if matches!(proof.tests, Tests::Store(_)) {
        return None;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(now.as_secs() as u32 ^ now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_ran_elsewhere_keeps_its_row() {
        let proof = &PROOFS[0];
        let row = format!(
            "| {} | `{}`: {} | **passed** | 7 | `abc` | 3 s |\n",
            proof.number, proof.name, proof.shows
        );
        assert_eq!(row_before(&format!("| no. |\n{row}| 2 |\n"), proof), row);
        assert!(row_before("| no. |\n", proof).contains("not run yet"));
    }

    #[test]
    fn the_page_has_a_place_for_results_and_names_are_unique() {
        let page = fs::read_to_string(root().join(PAGE)).unwrap();
        assert_eq!((page.matches(BEGIN).count(), page.matches(END).count()), (1, 1));
        let mut names: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROOFS.len());
    }
}
