//! What is made once and used again: the events, our import of them, the peers' tables.
//!
//! Each stands in a folder with a stamp beside it, `<folder>.json`: what it was made from, and what
//! making it cost. The stamp is written last; a folder without one, or with another, is made anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};

use super::Repeats;
use super::questions::Question;
use crate::bench::collector::{bytes_of, create_project, parquet_in};
use crate::bench::tool;
use crate::root;
use crate::shell::{quiet, step};

/// The engines, as `bench/peers/main.py` knows them.
pub(super) const PEERS: [&str; 3] = ["clickhouse-day", "clickhouse-user", "duckdb"];

/// Generated events.
pub(super) struct Events {
    folder: PathBuf,
    made_from: Value,
    count: u64,
}

/// What our import cost.
#[derive(Clone, Copy)]
pub(super) struct Loaded {
    pub seconds: f64,
    pub bytes: u64,
    /// Of these, ids of events, which are dropped when the window of deduplication has passed.
    pub id_bytes: u64,
}

/// Our data folder with the events in it, and the key to ask with.
pub(super) struct Imported {
    pub data: PathBuf,
    pub key: String,
}

impl Events {
    /// Events of this number, generated if they are not there.
    pub fn make(folder: &Path, count: u64) -> anyhow::Result<Events> {
        let made_from = json!({ "events": count, "generator": identity(&tool("generate"))? });
        kept(folder, &made_from, "making the events", || {
            quiet(tool("generate").arg(folder).arg(count.to_string()))?;
            Ok(json!({}))
        })?;
        Ok(Events { folder: folder.to_owned(), made_from, count })
    }
}

/// The events imported by this binary.
pub(super) fn import(
    binary: &Path,
    python: &Path,
    events: &Events,
    data: &Path,
) -> anyhow::Result<(Imported, Loaded)> {
    let made_from =
        json!({ "events": events.made_from, "binary": identity(&Command::new(binary))? });
    let stamp = kept(data, &made_from, "importing them", || {
        let project = create_project(binary, data)?;
        let mut import = Command::new(binary);
        import.args(["import", "--project", "bench", "--format", "parquet", "--json", "--data"]);
        let from = Instant::now();
        let printed = quiet(import.arg(data).args(parquet_in(&events.folder)?))?;
        let seconds = from.elapsed().as_secs_f64();
        let summary: Value = serde_json::from_str(printed.trim().lines().last().unwrap_or("{}"))?;
        anyhow::ensure!(summary["stored"] == json!(events.count), "not all is stored: {summary}");
        Ok(json!({ "seconds": seconds, "key": project["secret_key"] }))
    })?;
    let key = stamp["key"].as_str().context("a project has a secret key")?.to_owned();
    let loaded = Loaded {
        seconds: stamp["seconds"].as_f64().unwrap_or_default(),
        bytes: bytes_of(data),
        id_bytes: column_bytes(python, data, "event_id")?,
    };
    Ok((Imported { data: data.to_owned(), key }, loaded))
}

/// Bytes of a column in all segments; DuckDB reads what their footers say.
fn column_bytes(python: &Path, data: &Path, column: &str) -> anyhow::Result<u64> {
    let mut columns = Command::new(python);
    columns.arg(root().join("bench/peers/columns.py")).arg(data.join("seg"));
    let columns: Value = serde_json::from_str(&quiet(&mut columns)?)?;
    Ok(columns[column].as_u64().unwrap_or_default())
}

/// The events in an engine's tables; seconds that loading took.
pub(super) fn load_peer(
    python: &Path,
    engine: &str,
    events: &Events,
    folder: &Path,
) -> anyhow::Result<f64> {
    let source = if engine == "duckdb" { "duck.py" } else { "clickhouse.py" };
    let source = std::fs::read_to_string(root().join("bench/peers").join(source))?;
    // How it loads; the questions may change without loading again.
    let loads = source.split("def load").nth(1).and_then(|from| from.split("def ").next());
    let loads = loads.unwrap_or_default().len();
    let made_from = json!({ "events": events.made_from, "loads": loads });
    let stamp = kept(folder, &made_from, &format!("loading {engine}"), || {
        let printed = quiet(peers(python, engine).arg("load").arg(&events.folder).arg(folder))?;
        serde_json::from_str(&printed).with_context(|| format!("{engine} said {printed}"))
    })?;
    stamp["seconds"].as_f64().with_context(|| format!("{engine} says how long it took"))
}

/// Every question's best time and answer, and the bytes of the events on disk.
pub(super) fn ask_peer(
    python: &Path,
    engine: &str,
    folder: &Path,
    Repeats { least, until }: Repeats,
    questions: &[&Question],
) -> anyhow::Result<Value> {
    let mut ask = peers(python, engine);
    ask.arg("ask").arg(folder).arg(least.to_string()).arg(until.as_secs_f64().to_string());
    let printed = quiet(ask.args(questions.iter().map(|question| question.name)))?;
    serde_json::from_str(&printed).with_context(|| format!("{engine} said {printed}"))
}

fn peers(python: &Path, engine: &str) -> Command {
    let mut peers = Command::new(python);
    peers.arg(root().join("bench/peers/main.py")).arg(engine);
    peers
}

/// Make a folder, unless its stamp says that it is there; the stamp.
fn kept(
    folder: &Path,
    made_from: &Value,
    what: &str,
    make: impl FnOnce() -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    let file = folder.with_extension("json");
    let stamp =
        std::fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(stamp @ Value::Object(_)) = stamp
        && stamp["made_from"] == *made_from
        && folder.is_dir()
    {
        println!("· {what}: kept from before");
        return Ok(stamp);
    }
    let _ = std::fs::remove_file(&file);
    let _ = std::fs::remove_dir_all(folder);
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut stamp = step(what, make)?;
    stamp["made_from"] = made_from.clone();
    std::fs::write(&file, stamp.to_string())?;
    Ok(stamp)
}

/// Which build a program is: its size and when it was built.
fn identity(program: &Command) -> anyhow::Result<Value> {
    let file = Path::new(program.get_program());
    let metadata = file.metadata().with_context(|| format!("{} is not there", file.display()))?;
    let built = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs();
    Ok(json!([metadata.len(), built]))
}
