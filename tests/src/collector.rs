//! The collector as a process: start, ask, kill, start again on the same data.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::event::{Event, batch};
use crate::http::{Client, Reply};

/// How long a start may take before a test gives up on it.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A running collector with a data folder of its own; both end when this is dropped.
#[derive(Debug)]
pub struct TestCollector {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    environment: Vec<(String, String)>,
    client: Client,
}

/// What `tallymark project create --json` printed.
#[derive(Debug, Clone)]
pub struct TestProject {
    /// Names the project on the command line.
    pub slug: String,
    /// Public, may only send events.
    pub write_key: String,
    /// Secret, may ask.
    pub secret_key: String,
    /// The key of the hashes made in the browser.
    pub salt: String,
}

impl TestCollector {
    /// A collector with its defaults, on an empty data folder.
    pub fn start() -> TestCollector {
        TestCollector::start_with(&[])
    }

    /// A collector with these settings in its environment.
    pub fn start_with(environment: &[(&str, &str)]) -> TestCollector {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let environment: Vec<_> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (child, address) = spawn(folder.path(), &environment);
        TestCollector { child, address, folder, environment, client: Client::default() }
    }

    /// Where it listens now; changes with every restart.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside the data folder for a test's own files.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The client, to share with threads.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Run one command of the binary on this data folder.
    pub fn command(&self, arguments: &[&str]) -> Output {
        run(&self.data(), &self.environment, arguments)
    }

    /// Run one command that must succeed, and give what it printed.
    ///
    /// # Panics
    /// When it fails, with its standard error.
    pub fn command_ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tallymark {arguments:?} failed: {error}");
        String::from_utf8(output.stdout).expect("commands print UTF-8")
    }

    /// All events of a project as JSON lines, by the export command.
    ///
    /// # Panics
    /// When the command fails.
    pub fn export_all(&self, project: &TestProject) -> String {
        let slug = project.slug.as_str();
        let range = ["--from", "2020-01-01", "--to", "2035-01-01"];
        let what = ["export", "--project", slug, "--format", "jsonl"];
        self.command_ok(&[&what[..], &range].concat())
    }

    /// A new project.
    pub fn project(&self, slug: &str) -> TestProject {
        self.project_in(slug, "UTC")
    }

    /// A new project with a time zone.
    pub fn project_in(&self, slug: &str, tz: &str) -> TestProject {
        let printed =
            self.command_ok(&["project", "create", slug, "--slug", slug, "--tz", tz, "--json"]);
        let made: Value = serde_json::from_str(printed.trim()).expect("--json prints JSON");
        let text = |field: &str| {
            made[field].as_str().unwrap_or_else(|| panic!("`{field}` in {printed}")).to_owned()
        };
        TestProject {
            slug: text("slug"),
            write_key: text("write_key"),
            secret_key: text("secret_key"),
            salt: text("salt"),
        }
    }

    /// `GET path` with the project's secret key.
    pub fn get(&self, project: &TestProject, path: &str) -> Reply {
        self.client.get(self.address, path, Some(&project.secret_key)).expect("the server answers")
    }

    /// `POST path` with these headers and bytes.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.client.post(self.address, path, headers, body).expect("the server answers")
    }

    /// Send these events with the write key.
    pub fn send(&self, project: &TestProject, events: &[Event]) -> Reply {
        let body = batch(&project.write_key, events).to_string();
        self.post("/v1/batch", &[("content-type", "text/plain")], body.as_bytes())
    }

    /// Send a body with the secret key, as a customer's server does.
    pub fn send_as_server(&self, project: &TestProject, events: &[Event]) -> Reply {
        let mut body = batch(&project.write_key, events);
        body.as_object_mut().expect("a batch is an object").remove("key");
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post("/v1/batch", &headers, body.to_string().as_bytes())
    }

    /// Ask a question with the secret key, whatever the answer is.
    pub fn ask(&self, project: &TestProject, kind: &str, question: &Value) -> Reply {
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post(&format!("/v1/query/{kind}"), &headers, question.to_string().as_bytes())
    }

    /// Ask a question that must have an answer.
    ///
    /// # Panics
    /// When the answer is no 200, with its text.
    pub fn query(&self, project: &TestProject, kind: &str, question: &Value) -> Value {
        let reply = self.ask(project, kind, question);
        assert_eq!(reply.status, 200, "{kind} {question} was refused: {}", reply.text);
        reply.json()
    }

    /// SIGKILL, as the kernel does it when memory ends.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// SIGTERM, as a service manager does it; waits until the process is gone.
    ///
    /// # Panics
    /// When it takes longer than ten seconds or ends with a failure.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
        assert!(sent.success(), "SIGTERM could not be sent");
        let from = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                assert!(status.success(), "SIGTERM ended in {status}; {}", self.log_tail());
                return;
            }
            assert!(from.elapsed() < Duration::from_secs(10), "SIGTERM took more than 10 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Start again on the same data; gives the time until it was ready.
    pub fn restart(&mut self) -> Duration {
        let from = Instant::now();
        (self.child, self.address) = spawn(self.folder.path(), &self.environment);
        from.elapsed()
    }

    /// Whether the process lives.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// The most memory the process ever held, in bytes (`VmHWM`).
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a live process has a status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.expect("VmHWM is a number of kB") * 1024
    }

    /// Everything the process wrote to its log so far, all restarts included.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(log_path(self.folder.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for TestCollector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "collector's log ends:\n{}", self.log_tail());
        }
    }
}

/// Run one command of the binary on a data folder.
fn run(data: &Path, environment: &[(String, String)], arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--data").arg(data);
    command.envs(environment.iter().map(|(k, v)| (k, v)));
    command.output().expect("the binary starts")
}

fn spawn(folder: &Path, environment: &[(String, String)]) -> (Child, SocketAddr) {
    let log = std::fs::File::options().create(true).append(true).open(log_path(folder));
    let mut child = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
        .arg(folder.join("data"))
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("the log file can be opened"))
        .spawn()
        .expect("the binary starts");
    let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
    let (send, ready) = mpsc::channel();
    // Reads to the end: a process whose pipe nobody empties would stop.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let until = Instant::now() + START_PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(line) = ready.recv_timeout(left) else {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
            panic!("the collector was not ready within {START_PATIENCE:?}; its log:\n{log}");
        };
        let address = serde_json::from_str::<Value>(&line).ok().and_then(|ready| {
            ready["address"].as_str().and_then(|text| text.parse::<SocketAddr>().ok())
        });
        if let Some(address) = address {
            return (child, address);
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("collector.log")
}

/// The binary under test.
///
/// # Panics
/// When there is none, saying how to build it.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TALLYMARK_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let built = ["fast", "release", "debug"]
        .map(|profile| target.join(profile).join("tallymark"))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    built.expect("no tallymark binary: run `cargo xtask build`").1
}
