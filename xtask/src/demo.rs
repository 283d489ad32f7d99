//! `cargo xtask demo`: a shop, a collector and 90 days of data, running together.
//!
//! Everything is made new in `tallymark-demo/` each time: the data is generated on the spot.
//! Ctrl-C reaches all processes of the terminal, so it ends the shop and the collector too.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::shell::{Running, command, quiet, seconds, step};
use crate::{build, fetch, root, setup};

/// As many as 10,000 persons leave in 90 days.
const EVENTS: &str = "300000";
/// Says that a folder was made here and may be made anew.
const MARKER: &str = "made-by-cargo-xtask-demo";

/// What is up.
struct Up {
    collector: Running,
    shop: Running,
    address: String,
    sign_in: String,
    shop_address: String,
    project: Value,
}

/// Run it. `--check` asks every part over HTTP and ends; `--data DIR`, `--listen ADDR` and
/// `--shop-port PORT` move it.
///
/// # Errors
/// When something does not build, start or answer.
pub fn demo(arguments: &[String]) -> anyhow::Result<()> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let check = arguments.iter().any(|argument| argument == "--check" || argument == "--once");
    let free = |port: &str| if check { "0".to_owned() } else { port.to_owned() };
    let listen = option("--listen").unwrap_or_else(|| format!("127.0.0.1:{}", free("8787")));
    let shop_port = option("--shop-port").unwrap_or_else(|| free("5173"));
    let folder = option("--data").map_or_else(|| root().join("tallymark-demo"), PathBuf::from);

    let from = Instant::now();
    let binary = build::build()?;
    step("building the shop", shop)?;
    let built = from.elapsed();
    let project = step("filling a project: 90 days, 300,000 events, 10,000 persons", || {
        fill(&binary, &folder)
    })?;
    let up = step("starting the collector and the shop", || {
        start(&binary, &folder, &listen, &shop_port, project)
    })?;
    println!("\nup in {}, {} of it building", seconds(from.elapsed()), seconds(built));
    if check {
        return step("asking every part over HTTP", || answers(&up));
    }
    tell(&up);
    let Up { mut collector, shop, .. } = up;
    let ended = collector.0.wait()?;
    drop(shop);
    ensure!(ended.success(), "the collector ended: {ended}");
    Ok(())
}

/// The example, built against the packed package, when anything it is made of is newer.
///
/// # Errors
/// When npm fails.
pub fn shop() -> anyhow::Result<()> {
    let folder = root().join("examples/pwa");
    setup::npm("examples/pwa", &build::packages()?)?;
    let built = folder.join("dist/index.html").metadata().and_then(|file| file.modified()).ok();
    let newest = newest(&folder.join("src"))
        .max(newest(&folder.join("scripts")))
        .max(newest(&folder.join("node_modules/.package-lock.json")));
    if built.is_none() || built < newest {
        quiet(&mut command(&folder, "npm", &["run", "build"]))?;
    }
    Ok(())
}

/// The demo project with its data, in a new folder; gives what `project create` prints.
fn fill(binary: &Path, folder: &Path) -> anyhow::Result<Value> {
    if folder.exists() {
        let ours = folder.join(MARKER).is_file() || folder.read_dir()?.next().is_none();
        ensure!(ours, "{} holds other things: give --data another folder", folder.display());
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(
        folder.join(MARKER),
        "`cargo xtask demo` deletes and makes this folder anew.\n",
    )?;
    let mut demo = command(folder, &text(binary), &["demo", "--events", EVENTS, "--json"]);
    let printed = quiet(demo.arg("--data").arg(folder.join("data")))?;
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("`tallymark demo --json` printed {printed}"))
}

fn start(
    binary: &Path,
    folder: &Path,
    listen: &str,
    shop_port: &str,
    project: Value,
) -> anyhow::Result<Up> {
    let mut serve = command(folder, &text(binary), &["serve", "--listen", listen, "--json"]);
    let log = std::fs::File::create(folder.join("collector.log"))?;
    serve.arg("--data").arg(folder.join("data")).stdout(Stdio::piped()).stderr(log);
    let mut collector = Running(serve.spawn().context("the collector does not start")?);
    let ready = first_line(collector.0.stdout.take(), |line| {
        serde_json::from_str::<Value>(line).ok().filter(|ready| ready["address"].is_string())
    });
    let ready = ready.with_context(|| {
        let log = std::fs::read_to_string(folder.join("collector.log")).unwrap_or_default();
        format!("the collector did not start; it said:\n{log}")
    })?;
    let address = format!("http://{}", ready["address"].as_str().unwrap_or_default());
    let sign_in = ready["sign_in"].as_str().unwrap_or(&address).to_owned();

    let pwa = root().join("examples/pwa");
    let settings =
        json!({ "key": project["write_key"], "salt": project["salt"], "endpoint": address });
    std::fs::write(pwa.join("dist/config.json"), settings.to_string())?;
    let mut serve = command(&pwa, "node", &["scripts/serve.mjs", "--port", shop_port]);
    let mut shop = Running(serve.stdout(Stdio::piped()).spawn().context("node does not start")?);
    let shop_address = first_line(shop.0.stdout.take(), |line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    })
    .with_context(|| format!("the shop did not start: is port {shop_port} free?"))?;
    Ok(Up { collector, shop, address, sign_in, shop_address, project })
}

/// Everything a visitor would open, asked once.
fn answers(up: &Up) -> anyhow::Result<()> {
    fetch::get(&format!("{}/readiness", up.address), "")?;
    let session = fetch::sign_in(&up.sign_in)?;
    let page = fetch::get(&format!("{}/", up.address), &session);
    // The first page may send on to the project's own.
    let slug = up.project["slug"].as_str().context("the demo project has a slug")?;
    let page = page.or_else(|_| fetch::get(&format!("{}/p/{slug}", up.address), &session))?;
    ensure!(
        page.contains("<h1") || page.contains("<h2"),
        "the results page has no heading:\n{page}"
    );
    let shop = fetch::get(&up.shop_address, "")?;
    ensure!(shop.contains("<html"), "the shop answered no page:\n{shop}");
    let config = fetch::get(&format!("{}config.json", up.shop_address), "")?;
    ensure!(config.contains("tm_pk_"), "the shop has no key: {config}");
    let key = up.project["secret_key"].as_str().context("the demo project has a secret key")?;
    let question = json!({ "from": "2000-01-01", "to": "2100-01-01", "bucket": "month",
        "series": [{ "event": "$pageview", "measure": "count" }, { "event": "purchase", "measure": "persons" }] });
    let question = narrowed(question, &up.project);
    let answer = fetch::post(&format!("{}/v1/query/trend", up.address), key, &question)?;
    let views = sum(&answer["series"][0]["data"]);
    let buyers = sum(&answer["series"][1]["data"]);
    println!(
        "  the results page, the shop and a question answer: {views} page views, {buyers} buyers by month"
    );
    if views < 1_000.0 || buyers < 10.0 {
        bail!("that is not what 300,000 events hold: {answer}");
    }
    Ok(())
}

/// The last hundred days when the project says when its data ends, else a wide range.
fn narrowed(mut question: Value, project: &Value) -> Value {
    for (ours, theirs) in [("from", "from"), ("to", "to")] {
        if let Some(date) = project[theirs].as_str() {
            question[ours] = json!(date);
        }
    }
    question
}

fn tell(up: &Up) {
    let (shop, sign_in) = (&up.shop_address, &up.sign_in);
    let slug = up.project["slug"].as_str().unwrap_or("demo");
    println!(
        "
  results   {sign_in}
            (signs you in once; after that {})
  shop      {shop}

  Try this:
  · open the shop, say yes to counting, buy something: it is in the live figures a second later
  · results: the funnel by device, retention by week, the experiment that works and the one that does not
  · open the shop in a private window: about half of all visitors get the other buy button
  · stop your network and reload the shop: it opens, and what you do is counted when you are back
  · `tallymark query funnel --project {slug} FILE.json` asks from the command line

  Ctrl-C ends both.",
        up.address
    );
}

/// The first line that means something; the rest is read and dropped, so that the pipe never fills.
fn first_line<T: Send + 'static>(
    output: Option<ChildStdout>,
    means: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Option<T> {
    let (send, receive) = std::sync::mpsc::channel();
    let lines = BufReader::new(output?).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(found) = means(&line) {
                let _ = send.send(found);
            }
        }
    });
    receive.recv_timeout(Duration::from_secs(20)).ok()
}

/// When the newest file in a folder was written.
fn newest(path: &Path) -> Option<std::time::SystemTime> {
    if path.is_file() {
        return path.metadata().ok()?.modified().ok();
    }
    path.read_dir().ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}

fn sum(list: &Value) -> f64 {
    list.as_array().into_iter().flatten().filter_map(Value::as_f64).sum()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
