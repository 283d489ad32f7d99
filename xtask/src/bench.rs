//! `cargo xtask bench`: what is fast and what is not, as ratios measured in one run.
//!
//! Three comparisons, each with the other side in its best form and equal answers checked first:
//! ingest against a bare server that drops the same bodies, questions against ClickHouse's engine
//! and DuckDB on the same Parquet file, and the SDK against nothing: bytes and microseconds.
//! Absolute times of one machine say little; `bench/RESULTS.md` keeps ratios with their machine.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::shell::{Running, cargo, command, loud, quiet, step};
use crate::{build, fetch, root, setup};

/// Enough for the first look; `--events 20000000` is what `RESULTS.md` quotes.
const EVENTS: u64 = 1_000_000;
const DAYS: u64 = 30;
/// The best of these many runs of each question.
const REPEATS: usize = 3;

/// Run all comparisons, or only `--only ingest|questions|sdk`. `--events N` sizes the questions.
///
/// # Errors
/// When something does not build or run, and when two engines disagree.
pub fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let events = option("--events").map_or(Ok(EVENTS), str::parse)?;
    let wanted = |part: &str| option("--only").is_none_or(|only| only == part);

    let binary = if wanted("sdk") { build::build()? } else { build::collector()? };
    step("building the load generator, the bare server and the event generator", || {
        loud(&mut cargo(
            &root(),
            &["build", "--quiet", "--profile", "fast", "-p", "tallymark-bench"],
        ))
    })?;
    let folder = Folder::new()?;
    let mut lines = Vec::new();
    if wanted("ingest") {
        lines.extend(ingest(&binary, &folder.0)?);
    }
    if wanted("questions") {
        lines.extend(questions(&binary, &folder.0, events)?);
    }
    if wanted("sdk") {
        lines.extend(sdk()?);
    }
    println!("\n{}", machine());
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Events a second into the collector as a share of what a bare server takes.
fn ingest(binary: &Path, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![
        "\nIngest, as a share of a bare server that reads and drops the same bodies".to_owned(),
    ];
    for (name, batch) in [("batches of 100", "100"), ("single events", "1")] {
        let (collector, project) = collector(binary, &folder.join(format!("ingest-{batch}")))?;
        let (bare, address) = bare_server()?;
        // Turn by turn, so that a busy minute of the machine hurts both.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        step(&format!("ingest, {name}"), || {
            for _ in 0..REPEATS {
                ours.push(load(&collector.address, &project, batch)?);
                theirs.push(load(&address, &project, batch)?);
            }
            Ok(())
        })?;
        let best = |runs: &[Value], field: &str| {
            runs.iter().filter_map(|run| run[field].as_f64()).fold(0.0, f64::max)
        };
        let (ours_rate, theirs_rate) = (best(&ours, "events_per_s"), best(&theirs, "events_per_s"));
        let wait = |runs: &[Value], field: &str| {
            runs.iter().filter_map(|run| run[field].as_f64()).fold(f64::INFINITY, f64::min)
        };
        lines.push(format!(
            "  {name:<16} {:>5.2}   ({ours_rate:.0} of {theirs_rate:.0} events/s; p50 {:.1} ms against {:.1}, p99 {:.1} against {:.1})",
            ours_rate / theirs_rate,
            wait(&ours, "p50_ms"), wait(&theirs, "p50_ms"), wait(&ours, "p99_ms"), wait(&theirs, "p99_ms"),
        ));
        drop(bare);
    }
    Ok(lines)
}

/// Each question against both engines, on the same events, with equal answers.
fn questions(binary: &Path, folder: &Path, events: u64) -> anyhow::Result<Vec<String>> {
    let python = setup::python()?;
    let file = folder.join("events.parquet");
    step(&format!("making {events} events"), || {
        let (events, days) = (events.to_string(), DAYS.to_string());
        quiet(tool("generate").arg(&file).args([&events, &days])).map(drop)
    })?;
    let data = folder.join("questions");
    let imported = Instant::now();
    let secret = step("importing them", || import(binary, &data, &file))?;
    let imported = imported.elapsed();
    let project = json!({ "secret_key": secret });
    let collector = serve(binary, &data)?;
    let ours = step("asking the collector", || {
        QUESTIONS
            .iter()
            .map(|(kind, question)| ask(&collector, &project, kind, question))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let peak = peak_memory(&collector);
    drop(collector);

    let mut lines = vec![format!(
        "\nQuestions over {events} events, best of {REPEATS}: their time as a multiple of ours (above 1 we are faster)"
    )];
    let mut rows: Vec<_> = ours.iter().map(|(seconds, _)| vec![*seconds]).collect();
    let (mut loads, mut sizes) = (vec![imported.as_secs_f64()], vec![bytes(&data)]);
    for engine in ["clickhouse", "duckdb"] {
        let said = step(&format!("asking {engine}"), || peer(&python, engine, &file, folder))?;
        for (((kind, _), (_, answer)), row) in QUESTIONS.iter().zip(&ours).zip(&mut rows) {
            let other = &said["questions"][kind];
            ensure!(
                other["answer"] == *answer,
                "{engine} answers {kind} differently:\n{}\n{answer}",
                other["answer"]
            );
            row.push(other["seconds"].as_f64().with_context(|| format!("{engine} timed {kind}"))?);
        }
        loads.push(said["load_seconds"].as_f64().unwrap_or_default());
        sizes.push(said["bytes"].as_u64().unwrap_or_default());
    }
    lines.push(format!(
        "  {:<12} {:>11} {:>10}   seconds: ours, ClickHouse, DuckDB",
        "", "ClickHouse", "DuckDB"
    ));
    for ((kind, _), row) in QUESTIONS.iter().zip(&rows) {
        lines.push(format!(
            "  {kind:<12} {:>11.2} {:>10.2}   {:.3}, {:.3}, {:.3}",
            row[1] / row[0],
            row[2] / row[0],
            row[0],
            row[1],
            row[2]
        ));
    }
    lines.push(format!(
        "  {:<12} {:>11.2} {:>10.2}   {:.1}, {:.1}, {:.1}",
        "load",
        loads[1] / loads[0],
        loads[2] / loads[0],
        loads[0],
        loads[1],
        loads[2]
    ));
    let share = |index: usize| sizes[index] as f64 / sizes[0].max(1) as f64;
    lines.push(format!(
        "  {:<12} {:>11.2} {:>10.2}   {} MB, {} MB, {} MB",
        "disk",
        share(1),
        share(2),
        sizes[0] >> 20,
        sizes[1] >> 20,
        sizes[2] >> 20
    ));
    lines.push(format!("  the collector held at most {} MiB", peak >> 20));
    Ok(lines)
}

/// What is asked, over the whole range of the generated events (2026-09-01 and [`DAYS`] on).
const QUESTIONS: &[(&str, &str)] = &[
    (
        "trend",
        r#"{"from":"2026-09-01","to":"2026-10-01","tz":"UTC","bucket":"day","series":[{"event":"page_viewed","measure":"persons"}]}"#,
    ),
    (
        "funnel",
        r#"{"from":"2026-09-01","to":"2026-10-01","tz":"UTC","window":"1d","compat":"clickhouse","steps":[{"event":"page_viewed"},{"event":"added_to_cart"},{"event":"purchased"}]}"#,
    ),
    (
        "retention",
        r#"{"from":"2026-09-01","to":"2026-10-01","tz":"UTC","bucket":"day","periods":30,"start":{"event":"page_viewed"},"return":{"event":"page_viewed"}}"#,
    ),
    ("active", r#"{"from":"2026-09-01","to":"2026-10-01","tz":"UTC","event":"page_viewed"}"#),
];

/// Ask one question a few times; the best time in seconds and the figures of the answer alone.
fn ask(
    collector: &Collector,
    project: &Value,
    kind: &str,
    question: &str,
) -> anyhow::Result<(f64, Value)> {
    let key = project["secret_key"].as_str().context("a project has a secret key")?;
    let question: Value = serde_json::from_str(question)?;
    let url = format!("http://{}/v1/query/{kind}", collector.address);
    let (mut best, mut answer) = (f64::INFINITY, Value::Null);
    for _ in 0..REPEATS {
        let from = Instant::now();
        answer = fetch::post(&url, key, &question)?;
        best = best.min(from.elapsed().as_secs_f64());
    }
    Ok((best, figures(kind, &answer)))
}

/// The figures of an answer in the shape that `bench/peers.py` gives.
fn figures(kind: &str, answer: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let whole = |value: &Value| json!(value.as_f64().unwrap_or(-1.0) as i64);
    let each = |value: &Value| list(value).iter().map(whole).collect::<Vec<_>>();
    match kind {
        "trend" => json!(each(&answer["series"][0]["data"])),
        "funnel" => list(&answer["steps"]).iter().map(|step| whole(&step["persons"])).collect(),
        "active" => json!([each(&answer["dau"]), each(&answer["wau"]), each(&answer["mau"])]),
        // Only cells of days that the data has: later ones are 0 here and absent there.
        _ => list(&answer["cohorts"])
            .iter()
            .zip((1..=DAYS as usize).rev())
            .filter(|(cohort, _)| cohort["size"].as_f64() > Some(0.0))
            .map(|(cohort, days)| {
                json!(list(&cohort["returned"]).iter().take(days).map(whole).collect::<Vec<_>>())
            })
            .collect(),
    }
}

fn import(binary: &Path, data: &Path, file: &Path) -> anyhow::Result<String> {
    let project = project(binary, data)?;
    let mut import = Command::new(binary);
    import.args(["import", "--project", "bench", "--format", "parquet", "--json", "--data"]);
    let printed = quiet(import.arg(data).arg(file))?;
    println!("  {}", printed.trim().lines().last().unwrap_or_default());
    project["secret_key"].as_str().map(str::to_owned).context("a project has a secret key")
}

fn peer(python: &Path, engine: &str, file: &Path, folder: &Path) -> anyhow::Result<Value> {
    let mut peers = Command::new(python);
    peers.arg(root().join("bench/peers.py")).arg(engine).arg(file).arg(folder.join(engine));
    let printed = quiet(peers.arg(REPEATS.to_string()))?;
    serde_json::from_str(&printed).with_context(|| format!("{engine} said {printed}"))
}

/// Bytes of what a page loads, and the cost of one `track()` in Chromium.
fn sdk() -> anyhow::Result<Vec<String>> {
    setup::npm("tests/browser", &build::packages()?)?;
    let chromium = setup::chromium()?;
    let mut script = command(&root(), "node", &["bench/sdk.mjs"]);
    let printed = step("the SDK in Chromium", || quiet(script.env("CHROMIUM", chromium)))?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// A collector at work.
struct Collector {
    process: Running,
    address: String,
}

fn collector(binary: &Path, data: &Path) -> anyhow::Result<(Collector, Value)> {
    let project = project(binary, data)?;
    Ok((serve(binary, data)?, project))
}

fn project(binary: &Path, data: &Path) -> anyhow::Result<Value> {
    let mut create = Command::new(binary);
    create.args(["project", "create", "Bench", "--slug", "bench", "--json", "--data"]);
    Ok(serde_json::from_str(&quiet(create.arg(data))?)?)
}

fn serve(binary: &Path, data: &Path) -> anyhow::Result<Collector> {
    let mut serve = Command::new(binary);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"]).arg(data);
    let (process, ready) = started(&mut serve)?;
    let address = ready["address"].as_str().context("the collector says where it listens")?;
    Ok(Collector { process, address: address.to_owned() })
}

fn bare_server() -> anyhow::Result<(Running, String)> {
    let (process, ready) = started(&mut tool("bare_server"))?;
    let address = ready["address"].as_str().context("the bare server says where it listens")?;
    Ok((process, address.to_owned()))
}

/// Start a server and read the JSON line that says it is ready.
fn started(command: &mut Command) -> anyhow::Result<(Running, Value)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    let process = Running(child);
    let ready =
        lines.by_ref().map_while(Result::ok).find_map(|line| serde_json::from_str(&line).ok());
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok((process, ready.context("the server ended before it was ready")?))
}

/// Five seconds of load; what the generator measured.
fn load(address: &str, project: &Value, batch: &str) -> anyhow::Result<Value> {
    let key = project["write_key"].as_str().context("a project has a write key")?;
    let printed = quiet(tool("load").args([address, key, batch, "16", "5"]))?;
    Ok(serde_json::from_str(&printed)?)
}

fn tool(name: &str) -> Command {
    Command::new(build::target().join("fast").join(name))
}

/// The most memory the process held, in bytes.
fn peak_memory(collector: &Collector) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.process.0.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Bytes of all files in a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |path: PathBuf| match path.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(|entry| size(entry.path())).sum()
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("On {cores} cores of {model}; other machines give other times, ratios less so.")
}

/// A folder for the data of this run, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = build::target().join("bench");
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::io::stdout().flush();
    }
}
