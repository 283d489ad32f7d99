//! Everything that reads bytes of strangers gets bytes that nobody would send: batches, questions, headers, addresses, and
//! files that are imported. Nothing panics, nothing answers 5xx, nothing takes long, and whoever sends something honest
//! afterwards is served.
//!
//! Inputs come from `tests/corpora`, as they are and changed (`tests/src/mutate.rs`). `TALLYMARK_TEST_INPUTS` says how many for
//! each reader, `TALLYMARK_TEST_SEED` plays a run again, `TALLYMARK_TEST_MINUTES` ends it earlier. What breaks
//! something is written to the temporary folder, and belongs into the corpora then.
//!
//! Deliberately elsewhere: the log (`collector/store/src/wal/fuzz.rs`).

#[path = "../../../tests/src/mutate.rs"]
mod mutate;

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use mutate::Mutator;
use serde_json::{Value, json};
use tallymark::app::App;
use tallymark::bulk::at::AtFormat;
use tallymark::bulk::csv_in::{CsvOptions, Delimiter};
use tallymark::bulk::form::Form;
use tallymark::bulk::import::{How, Source, import};
use tallymark::clock::Clock;
use tallymark::config::Config;
use tallymark::console::{Console, Progress};
use tallymark::folder::Folder;
use tallymark::front::Front;
use tallymark::meta::audit::Deed;
use tallymark::meta::organisations::MAIN;
use tallymark::meta::projects::{NewProject, Project};

/// 2026-11-22T12:30:00Z.
const NOW: i64 = 1_795_350_600_000;
/// A machine that others use, and a build that is not optimised.
const SLOW: Duration = Duration::from_secs(5);

struct Target {
    app: App,
    front: Front,
    project: Project,
    write_key: String,
    secret_key: String,
    folder: tempfile::TempDir,
}

async fn target() -> Target {
    let folder = tempfile::tempdir().unwrap();
    // Nobody is told to come later.
    let config = Config {
        ingest_burst: u32::MAX,
        network_burst: u32::MAX,
        project_rate_per_s: u32::MAX,
        ..Config::default()
    };
    let app = App::open(Folder::at(folder.path().join("data")), config, Clock::manual(NOW))
        .await
        .unwrap();
    let new = NewProject {
        organisation: MAIN,
        name: "Shop".into(),
        slug: "shop".into(),
        tz: "UTC".into(),
    };
    let deed = Deed { actor: "test", action: "create", note: "", at_ms: NOW };
    let made =
        tallymark::admin::projects::create(&app.meta, &app.pepper, &new, deed).await.unwrap();
    let (write_key, secret_key) =
        (made.write_key.reveal().to_owned(), made.secret_key.reveal().to_owned());
    Target {
        front: Front::new(app.clone()),
        app,
        project: made.project,
        write_key,
        secret_key,
        folder,
    }
}

impl Target {
    /// The status of an answer, and whether it was one of ours.
    async fn ask(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let response = self.front.answer(([127, 0, 0, 1], 1).into(), request).await;
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    async fn is_well(&self) {
        static SENT: AtomicU64 = AtomicU64::new(0);
        let number = SENT.fetch_add(1, Ordering::Relaxed);
        let event = json!({ "id": format!("01a2020f-5b40-7000-9000-{number:012x}"), "name": "honest", "at": NOW });
        let body = json!({ "key": self.write_key, "sent_at": NOW, "events": [event] }).to_string();
        let (status, answer) =
            self.ask(Request::post("/v1/batch").body(body.into()).unwrap()).await;
        let receipt: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, &receipt["ok"]), (200, &json!(1)), "{receipt}");
        assert_eq!(self.app.telemetry.panics.get(), 0, "a handler panicked");
    }
}

/// Inputs of one kind, in the order of their names.
fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora").join(kind);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Inputs as they are, then changed ones, until there are enough or the time is over.
struct Inputs {
    kind: &'static str,
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static str],
    mutator: Mutator,
    given: usize,
    most: usize,
    end: Option<Instant>,
    now: Vec<u8>,
    slowest: Duration,
}

impl Inputs {
    fn new(
        kind: &'static str,
        corpus: Vec<Vec<u8>>,
        words: &'static [&'static str],
        usual: usize,
    ) -> Self {
        let seed = number("TALLYMARK_TEST_SEED").unwrap_or(NOW as u64);
        println!("fuzz {kind}: TALLYMARK_TEST_SEED={seed} plays this run again");
        let minutes = number("TALLYMARK_TEST_MINUTES")
            .map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
        let most = number("TALLYMARK_TEST_INPUTS").map_or(usual, |most| most as usize);
        let mutator = Mutator::new(seed);
        Self {
            kind,
            corpus,
            words,
            mutator,
            given: 0,
            most,
            end: minutes,
            now: Vec::new(),
            slowest: Duration::ZERO,
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let is_late = self.end.is_some_and(|end| Instant::now() > end);
        if self.given >= self.most + self.corpus.len() || is_late {
            println!("figure: {} {}, the slowest took {:?}", self.given, self.kind, self.slowest);
            return None;
        }
        let plain = self.corpus.get(self.given).cloned();
        let input = plain.unwrap_or_else(|| {
            let (one, other) =
                (self.mutator.below(self.corpus.len()), self.mutator.below(self.corpus.len()));
            self.mutator.mutate(&self.corpus[one], &self.corpus[other], self.words)
        });
        self.given += 1;
        self.now.clone_from(&input);
        Some(input)
    }

    /// What came of the last input is fine.
    fn must(&mut self, is_fine: bool, began: Instant, what: &str) {
        let took = began.elapsed();
        self.slowest = self.slowest.max(took);
        if is_fine && took < SLOW {
            return;
        }
        let file = std::env::temp_dir().join(format!("tallymark-{}-{}", self.kind, self.given));
        let kept =
            fs::write(&file, &self.now).map_or("nowhere".into(), |()| file.display().to_string());
        panic!("{} input {} took {took:?}: {what}; it is kept in {kept}", self.kind, self.given);
    }
}

const JSON: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "{\"a\":",
    "[[[[[[[[",
    "\"__proto__\":",
    "\\u0000",
    "\\ud800",
    "\"id\":",
    "\"props\":",
    "\"at\":",
    "\"events\":[",
    ",",
    "\u{feff}",
    "\"\"",
    "1e999",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_as_a_batch_gets_a_receipt_or_a_refusal() {
    let target = target().await;
    let with_key = |bytes: Vec<u8>| {
        String::from_utf8_lossy(&bytes).replace("KEY", &target.write_key).into_bytes()
    };
    let corpus: Vec<_> = corpus("batch").into_iter().map(with_key).collect();
    let packed: Vec<_> = corpus.iter().map(|bytes| gzip(bytes)).collect();
    for (kind, corpus, path) in
        [("batches", corpus, "/v1/batch"), ("packed_batches", packed, "/v1/batch?z=gzip")]
    {
        let mut inputs = Inputs::new(kind, corpus, JSON, 1_500);
        while let Some(body) = inputs.next() {
            let began = Instant::now();
            let (status, answer) = target.ask(Request::post(path).body(body.into()).unwrap()).await;
            let is_json = serde_json::from_slice::<Value>(&answer)
                .is_ok_and(|answer| answer["code"].is_string() || answer["ok"].is_number());
            inputs.must(
                status < 500 && is_json,
                began,
                &format!("{status} {}", String::from_utf8_lossy(&answer)),
            );
        }
        target.is_well().await;
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_gets_an_answer_or_a_refusal() {
    let target = target().await;
    target.is_well().await;
    // The examples of the documentation with their kinds, and some of our own for every kind.
    let page = include_str!("../../../docs/questions.md");
    let examples = page.split("\n```json ").skip(1).filter_map(|block| block.split_once('\n'));
    let examples = examples.filter_map(|(kind, rest)| {
        Some((kind.trim().to_owned(), rest.split("\n```").next()?.as_bytes().to_vec()))
    });
    let mut questions: Vec<(String, Vec<u8>)> = examples.collect();
    let kinds: std::collections::BTreeSet<String> =
        questions.iter().map(|(kind, _)| kind.clone()).collect();
    for body in corpus("question") {
        questions.extend(kinds.iter().map(|kind| (kind.clone(), body.clone())));
    }
    assert!(kinds.len() > 5, "{kinds:?}");
    let bodies = questions.iter().map(|(_, body)| body.clone()).collect();
    const WORDS: &[&str] = &[
        "null",
        "[]",
        "{}",
        "\"where\":",
        "\"breakdown\":",
        "\"cohort\":",
        "\"op\":\"regex\",\"value\":\"(a*)*$\"",
        "\"any\":[",
        "\"not\":",
        "\"limit\":",
        "1e308",
        "-1",
        "\"9999-12-31\"",
        "\"0000-01-01\"",
        "\"month\"",
        "\"persons\"",
        ",",
    ];
    let mut inputs = Inputs::new("questions", bodies, WORDS, 1_500);
    while let Some(body) = inputs.next() {
        let kind = &questions[inputs.given % questions.len()].0;
        let began = Instant::now();
        let request = Request::post(format!("/v1/query/{kind}"))
            .header("authorization", format!("Bearer {}", target.secret_key));
        let (status, answer) = target.ask(request.body(body.into()).unwrap()).await;
        inputs.must(
            status < 500,
            began,
            &format!("{kind}: {status} {}", String::from_utf8_lossy(&answer)),
        );
    }
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_in_headers_and_addresses_is_read_or_refused() {
    let target = target().await;
    let mut corpus = corpus("header");
    corpus.push(format!("Bearer {}", target.secret_key).into_bytes());
    corpus.push(b"1795350600000.01a2020f5b4070008000000000000001".to_vec());
    corpus.push(br#"[{"prop":"plan","op":"eq","value":"team"}]"#.to_vec());
    const WORDS: &[&str] = &[
        "Bearer ",
        "tm_pk_live_",
        "tm_sk_live_",
        "__Host-",
        "=",
        ";",
        ",",
        "%00",
        "%ff",
        "../",
        ".",
    ];
    let mut inputs = Inputs::new("headers", corpus, WORDS, 3_000);
    let bearer = format!("Bearer {}", target.secret_key);
    while let Some(bytes) = inputs.next() {
        let encoded: String = bytes.iter().take(4_000).map(|byte| format!("%{byte:02x}")).collect();
        let (name, path) = match inputs.given % 8 {
            0 => ("authorization", "/v1/schema".to_owned()),
            1 => ("cookie", "/v1/schema?project=shop".to_owned()),
            2 => ("x-forwarded-for", "/v1/schema".to_owned()),
            3 => ("x-request-id", "/healthz".to_owned()),
            4 => ("origin", format!("/v1/events?cursor={encoded}")),
            5 => ("x-tenant-slug", format!("/v1/events?where={encoded}")),
            6 => ("accept", format!("/v1/events?from={encoded}")),
            _ => ("user-agent", format!("/v1/export?format={encoded}")),
        };
        let mut request = Request::get(path);
        if name != "authorization" && name != "cookie" {
            request = request.header("authorization", &bearer);
        }
        // What cannot be a header or an address, no server gets to see.
        let Ok(request) = request.header(name, bytes).body(Body::empty()) else { continue };
        let began = Instant::now();
        let (status, answer) = target.ask(request).await;
        inputs.must(
            status < 500,
            began,
            &format!("{name}: {status} {}", String::from_utf8_lossy(&answer)),
        );
    }
    target.is_well().await;
}

/// Nobody looks.
struct Silent;

impl Console for Silent {
    fn out(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn note(&mut self, _: &str) -> std::io::Result<()> {
        Ok(())
    }
    fn progress(&mut self, _: Progress) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_in_a_file_is_imported_or_refused() {
    let target = target().await;
    target.is_well().await;
    let request = Request::get("/v1/export?format=parquet")
        .header("authorization", format!("Bearer {}", target.secret_key));
    let (_, parquet) = target.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(&parquet[..4], b"PAR1");
    let (app, project) = (target.app.clone(), target.project.clone());
    let path = target.folder.path().join("input");
    let parquets = [vec![parquet], corpus("parquet")].concat();
    let work = tokio::task::spawn_blocking(move || {
        const CSV: &[&str] = &[
            "\"",
            "\"\"",
            ",",
            ";",
            "\r\n",
            "\n\n",
            "\0",
            "id",
            "user",
            "$realm",
            "=1+1",
            "2026-02-30",
        ];
        let kinds = [
            ("csv_files", Form::Csv, corpus("csv"), CSV, 200),
            ("jsonl_files", Form::Jsonl, corpus("jsonl"), JSON, 200),
            ("parquet_files", Form::Parquet, parquets, &["PAR1"][..], 200),
        ];
        for (kind, form, corpus, words, usual) in kinds {
            let mut inputs = Inputs::new(kind, corpus, words, usual);
            while let Some(bytes) = inputs.next() {
                fs::write(&path, bytes).unwrap();
                let delimiter =
                    Delimiter::Byte(if inputs.given.is_multiple_of(3) { b';' } else { b',' });
                let csv = CsvOptions { delimiter, header: true, columns: Vec::new() };
                let how =
                    How { form, map: Vec::new(), hashed: false, at_format: AtFormat::Auto, csv };
                let began = Instant::now();
                // A file that is none is an error; what must not be is a panic.
                let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let sources = vec![Source::open(&path).unwrap()];
                    drop(import(&app, &project, &how, sources, &mut Silent))
                }));
                inputs.must(done.is_ok(), began, "it panicked");
            }
        }
    });
    work.await.unwrap();
    target.is_well().await;
}
