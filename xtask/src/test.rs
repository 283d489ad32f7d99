//! `cargo xtask test`: every test there is, part by part, with a table of what took how long.
//!
//! Parts run in the order of the table, cheap ones first; a failing part does not stop the next.
//! A name that is no part is taken as a module of `tests/tests/e2e`. The last line is always
//! `N passed, N failed`, and the command fails when the second number is not 0.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::shell::{cargo, command, seconds};
use crate::{bench, build, check, demo, readme, root, setup};

/// A part: its name, what it shows, and how it is run.
struct Part {
    name: &'static str,
    shows: &'static str,
    run: fn(&Part) -> anyhow::Result<Counts>,
}

/// Tests that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
}

/// What all parts leave and write meanwhile, in a clean clone: most of it is built.
const ROOM_GIB: u64 = 12;

const PARTS: &[Part] = &[
    Part {
        name: "text",
        shows: "format, documentation, links, changelog",
        run: |_| one(check::text()),
    },
    Part { name: "rust", shows: "units, laws and vectors of every crate", run: |_| rust() },
    Part { name: "fuzz", shows: "made-up input of every kind, a minute each", run: |_| fuzz() },
    Part {
        name: "npm",
        shows: "the package: types, wasm and TypeScript on the shared vectors",
        run: |_| npm(),
    },
    Part { name: "layers", shows: "dependencies point one way", run: e2e },
    Part { name: "delivery", shows: "what a batch becomes", run: e2e },
    Part { name: "completeness", shows: "exactly what pages lost is missing", run: e2e },
    Part { name: "growth", shows: "one story, asked for in every way", run: e2e },
    Part { name: "identity", shows: "no raw id anywhere", run: e2e },
    Part { name: "privacy", shows: "what thieves, logs and those who ask get to see", run: e2e },
    Part { name: "people", shows: "one person across the login, aliases, undo", run: e2e },
    Part { name: "erase", shows: "an erased person is in no answer and no file", run: e2e },
    Part { name: "retention", shows: "events go when their time is over", run: e2e },
    Part {
        name: "rules",
        shows: "every rule and vector of the definitions has its test",
        run: e2e,
    },
    Part { name: "client_clocks", shows: "events whose clocks are wrong", run: e2e },
    Part { name: "definitions", shows: "experiments live, and pages get what runs", run: e2e },
    Part { name: "tenants", shows: "nobody reads another's data", run: e2e },
    Part { name: "usage", shows: "usage over kills, quotas at their edge, few labels", run: e2e },
    Part { name: "fairness", shows: "who sends too much slows nobody", run: e2e },
    Part { name: "connections", shows: "slow clients, ambiguous bytes", run: e2e },
    Part { name: "malformed", shows: "hostile bytes", run: e2e },
    Part { name: "many_values", shows: "as many values as events: memory and time", run: e2e },
    Part { name: "cancel", shows: "a question ends when nobody waits", run: e2e },
    Part { name: "restart", shows: "equal answers after restart, export and import", run: e2e },
    Part { name: "golden", shows: "data of earlier versions open and answer the same", run: e2e },
    Part { name: "import", shows: "imports that are killed, and beside live events", run: e2e },
    Part { name: "crash", shows: "50 kills under load", run: e2e },
    Part { name: "visits", shows: "sessions and paths over HTTP", run: e2e },
    Part { name: "stats", shows: "343 reference cases of the statistics", run: e2e },
    Part { name: "experiments", shows: "an experiment from events to its verdict", run: e2e },
    Part { name: "exactly_once", shows: "sent three times, answers lost: counted once", run: e2e },
    Part { name: "quarantine", shows: "refused events are listed and sent again", run: e2e },
    Part { name: "backup", shows: "backup under load, restore, verify", run: e2e },
    Part { name: "endurance", shows: "a minute of load: memory, files, a stop", run: e2e },
    Part { name: "deploy", shows: "Caddy and nginx in front, Prometheus' rules", run: deployed },
    Part { name: "traces", shows: "what took how long, at a receiver, and of nobody", run: e2e },
    Part { name: "certificates", shows: "whose certificates we trust", run: e2e },
    Part { name: "clock", shows: "a wall clock that jumps under load", run: e2e },
    Part { name: "order", shows: "no answer before its bytes are synced", run: traced },
    Part { name: "disk_errors", shows: "writes and syncs that fail", run: traced },
    Part { name: "disk_full", shows: "a disk that fills up and gets room again", run: mounted },
    Part { name: "power", shows: "ext4 that loses power under load", run: mounted },
    Part { name: "cdnow", shows: "real purchases against pandas", run: compared },
    Part { name: "parquet", shows: "files of pandas and DuckDB in, segments out", run: compared },
    Part {
        name: "differential",
        shows: "random questions against ClickHouse's engine",
        run: compared,
    },
    Part {
        name: "bench",
        shows: "the questions of the bench: ClickHouse's engine and DuckDB agree",
        run: |_| one(bench::check()),
    },
    Part {
        name: "trials",
        shows: "verdicts of made-up experiments err as seldom and find as much as they promise",
        run: |_| one(bench::check_trials()),
    },
    Part {
        name: "browser",
        shows: "the packed package in Chromium, a real collector",
        run: |_| browser(),
    },
    Part {
        name: "demo",
        shows: "`cargo xtask demo` comes up",
        run: |_| one(demo::demo(&["--check".to_owned(), "--data".to_owned(), demo_folder()])),
    },
    Part { name: "readme", shows: "the README's commands run", run: |_| readme_blocks() },
];

/// Run all parts, or those named. `--list` names them.
///
/// # Errors
/// When a test failed or a part could not run.
pub fn test(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.iter().any(|argument| argument == "--list") {
        PARTS.iter().for_each(|part| println!("{:<13} {}", part.name, part.shows));
        return Ok(());
    }
    let unknown = arguments.iter().find(|name| PARTS.iter().all(|part| part.name != **name));
    ensure!(
        unknown.is_none(),
        "no part is named {unknown:?}; `cargo xtask test --list` names them"
    );
    let wanted = |part: &&Part| match arguments {
        [] => true,
        names => names.iter().any(|name| name == part.name),
    };

    let from = Instant::now();
    if arguments.is_empty() {
        setup::room(ROOM_GIB)?;
    }
    if PARTS
        .iter()
        .filter(wanted)
        .any(|part| !["text", "rust", "fuzz", "layers"].contains(&part.name))
    {
        build::build()?;
    }
    let mut table = Vec::new();
    for part in PARTS.iter().filter(wanted) {
        println!("\n━━ {}: {}", part.name, part.shows);
        let from = Instant::now();
        let counts = (part.run)(part).unwrap_or_else(|error| {
            println!("{error:#}");
            Counts { passed: 0, failed: 1 }
        });
        table.push((part, counts, from.elapsed()));
    }
    summary(&table, from.elapsed())
}

fn summary(table: &[(&Part, Counts, Duration)], took: Duration) -> anyhow::Result<()> {
    println!("\n{:<13} {:>7} {:>7} {:>12}", "part", "passed", "failed", "took");
    let mut all = Counts::default();
    for (part, counts, took) in table {
        let Counts { passed, failed } = counts;
        let took = if passed + failed == 0 { "not run".to_owned() } else { seconds(*took) };
        println!("{:<13} {passed:>7} {failed:>7} {took:>12}", part.name);
        all.passed += counts.passed;
        all.failed += counts.failed;
    }
    println!("\nin {}, building included", seconds(took));
    println!("{} passed, {} failed", all.passed, all.failed);
    ensure!(all.failed == 0, "some tests failed");
    Ok(())
}

/// Tests of all crates in one run, those of this part of them. Of the end-to-end crate there are parts of their own; the
/// bench has no tests.
fn crates(part: &[&str]) -> Command {
    let mut run = cargo(&root(), &["test", "--quiet", "--workspace", "--no-fail-fast"]);
    run.args(["--exclude", "tallymark-tests", "--exclude", "tallymark-bench"]).args(part);
    run
}

/// All crates, and the units of the end-to-end crate.
fn rust() -> anyhow::Result<Counts> {
    setup::pdftotext()?;
    let crates = counted(&mut crates(&[]))?;
    let own = counted(&mut cargo(&root(), &["test", "--quiet", "-p", "tallymark-tests", "--lib"]))?;
    Ok(Counts { passed: crates.passed + own.passed, failed: crates.failed + own.failed })
}

/// What reads bytes of strangers, a minute for each kind of input.
fn fuzz() -> anyhow::Result<Counts> {
    let mut all = Counts::default();
    for part in [&["--test", "fuzz"][..], &["--lib", "wal::fuzz::"]] {
        let mut run = crates(part);
        run.env("TALLYMARK_TEST_INPUTS", u32::MAX.to_string()).env("TALLYMARK_TEST_MINUTES", "1");
        let Counts { passed, failed } = counted(&mut run)?;
        ensure!(passed + failed > 0, "no test is in {part:?}");
        all = Counts { passed: all.passed + passed, failed: all.failed + failed };
    }
    Ok(all)
}

/// One module of the end-to-end tests, against the binary just built.
fn e2e(part: &Part) -> anyhow::Result<Counts> {
    let filter = format!("{}::", part.name);
    let mut run =
        cargo(&root(), &["test", "--quiet", "-p", "tallymark-tests", "--test", "e2e", &filter]);
    run.args(["--", "--nocapture"]).env("TALLYMARK_BIN", build::binary());
    let counts = counted(&mut run)?;
    ensure!(counts.passed + counts.failed > 0, "no test is in {filter}");
    Ok(counts)
}

/// The same, under a tracer.
fn traced(part: &Part) -> anyhow::Result<Counts> {
    setup::strace()?;
    e2e(part)
}

/// The same, with the programs that people run beside a collector.
fn deployed(part: &Part) -> anyhow::Result<Counts> {
    setup::neighbours()?;
    e2e(part)
}

/// The same, on file systems of its own. Where none can be made this is said and the part left out,
/// but not where `CI` is set: there it was promised.
fn mounted(part: &Part) -> anyhow::Result<Counts> {
    match setup::mounts() {
        Err(needs) if std::env::var_os("CI").is_none() => {
            println!("not run: {needs:#}");
            Ok(Counts::default())
        }
        Err(needs) => Err(needs),
        Ok(()) => e2e(part),
    }
}

/// The same, with another engine beside it.
fn compared(part: &Part) -> anyhow::Result<Counts> {
    setup::python()?;
    e2e(part)
}

fn npm() -> anyhow::Result<Counts> {
    setup::npm("npm", &[])?;
    counted(
        command(&root().join("npm"), "npm", &["test", "--silent"])
            .env("TALLYMARK_BIN", build::binary()),
    )
}

fn browser() -> anyhow::Result<Counts> {
    let chromium = setup::chromium()?;
    setup::npm("tests/browser", &crate::build::packages()?)?;
    let mut run = command(&root().join("tests/browser"), "npm", &["test", "--silent"]);
    counted(run.env("TALLYMARK_BIN", build::binary()).env("CHROMIUM", chromium))
}

fn readme_blocks() -> anyhow::Result<Counts> {
    Ok(Counts { passed: readme::run()? as u64, failed: 0 })
}

fn one(done: anyhow::Result<()>) -> anyhow::Result<Counts> {
    done.map(|()| Counts { passed: 1, failed: 0 })
}

/// Beside the demo a developer may have open.
fn demo_folder() -> String {
    std::env::temp_dir().join("tallymark-demo-check").to_string_lossy().into_owned()
}

/// Run a test program, show its output as it comes, and add up what it says it ran.
fn counted(run: &mut Command) -> anyhow::Result<Counts> {
    heard(run, &mut |_| {})
}

/// The same, with every line also given to somebody.
///
/// # Errors
/// When the program does not start or does not print text.
pub fn heard(run: &mut Command, each: &mut dyn FnMut(&str)) -> anyhow::Result<Counts> {
    let mut child =
        run.stdout(Stdio::piped()).spawn().context("the test program does not start")?;
    let mut counts = Counts::default();
    let output = BufReader::new(child.stdout.take().context("its output is piped")?);
    for line in output.lines() {
        let line = line.context("its output is text")?;
        println!("{line}");
        each(&line);
        add(&mut counts, &line);
    }
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        println!("the test program ended with {status} before it could count");
        counts.failed = 1;
    }
    Ok(counts)
}

/// Add what one line of cargo's or node's test report says.
fn add(counts: &mut Counts, line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    match words.as_slice() {
        // test result: ok. 4 passed; 2 failed; 0 ignored; …
        ["test", "result:", _, passed, "passed;", failed, "failed;", ..] => {
            counts.passed += number(passed);
            counts.failed += number(failed);
        }
        // node: "ℹ pass 3" on a terminal, "# pass 3" elsewhere; cancelled ones did not pass.
        ["ℹ" | "#", "pass", passed] => counts.passed += number(passed),
        ["ℹ" | "#", "fail" | "cancelled", failed] => counts.failed += number(failed),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_the_end_to_end_tests_is_a_part() {
        let modules = std::fs::read_to_string(root().join("tests/tests/e2e/main.rs")).unwrap();
        let modules =
            modules.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        let left_out: Vec<_> =
            modules.filter(|module| PARTS.iter().all(|part| part.name != *module)).collect();
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn reports_of_cargo_and_node_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 91 filtered out",
            "# pass 30",
            "ℹ fail 1",
            "# cancelled 2",
            "test layers::ok ... ok",
        ] {
            add(&mut counts, line);
        }
        assert_eq!(counts, Counts { passed: 34, failed: 5 });
    }
}
