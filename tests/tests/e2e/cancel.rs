//! A question that nobody waits for costs nothing any more, 100 ms after they went away.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tallymark_tests::rounds::figure;
use tallymark_tests::{Launch, TestCollector, TestProject};

const EVENTS: usize = 4_000_000;
const PEOPLE: usize = 10_000;
/// After this long nothing of a question is at work.
const GRACE: Duration = Duration::from_millis(100);
/// Long enough to see what is still at work, in processor time.
const LOOK: Duration = Duration::from_millis(500);
/// What a collector does by itself meanwhile, at most.
const IDLE_MS: u64 = 60;
/// A question that is shorter could be over before anybody goes away.
const LONG_MS: u64 = 150;

#[test]
fn a_question_ends_when_its_client_goes_away_or_its_time_is_over() {
    let mut collector = TestCollector::start_with(&[("TALLYMARK_QUERY_THREADS", "1")]);
    let project = collector.project("slow");
    import(&collector);
    collector.stop();
    collector.restart();

    // Everything is read from the disk before, so that all of it is counting.
    collector.query(&project, "paths", &question());
    let before = cpu_ms(&collector);
    collector.query(&project, "paths", &question());
    let whole = cpu_ms(&collector) - before;
    assert!(whole >= LONG_MS, "the question is too quick to be cancelled: {whole} ms");

    let before = cpu_ms(&collector);
    let asked = ask_and_go_on(&collector, &project);
    sleep(Duration::from_millis(whole / 4));
    drop(asked);
    sleep(GRACE);
    let gone = cpu_ms(&collector);
    sleep(LOOK);
    let after = cpu_ms(&collector) - gone;
    figure(&format!("a question of {whole} ms, cancelled: {} ms, {after} later", gone - before));
    assert!(after <= IDLE_MS, "{after} ms after the client was gone");
    assert!(gone - before < whole, "it was cancelled, and took {} of {whole} ms", gone - before);
    // Its place is free again.
    collector.query(&project, "paths", &question());

    collector.stop();
    let hasty: &[_] = &[("TALLYMARK_QUERY_THREADS", "1"), ("TALLYMARK_QUERY_TIMEOUT_MS", "100")];
    collector.restart_as(Launch::with(hasty)).expect("it starts with another setting");
    let refused = collector.ask(&project, "paths", &question());
    assert_eq!((refused.status, &*refused.code()), (504, "question_too_slow"));
    // A look for events that there are none of, which has to read them all, is held to the same.
    let nowhere = "%5B%7B%22prop%22%3A%22path%22%2C%22value%22%3A%22nowhere%22%7D%5D";
    let listed = collector.get(&project, &format!("/v1/events?where={nowhere}"));
    assert_eq!((listed.status, &*listed.code()), (504, "question_too_slow"));
    sleep(GRACE);
    let gone = cpu_ms(&collector);
    sleep(LOOK);
    assert!(cpu_ms(&collector) - gone <= IDLE_MS, "after its time was over");
}

/// Ways between thousands of pages: nearly every pair is another one.
fn question() -> Value {
    json!({ "from": "2026-09-01", "to": "2026-09-02", "event": "seen", "by": "path", "limit": 10 })
}

/// Send the question and leave the connection open.
fn ask_and_go_on(collector: &TestCollector, project: &TestProject) -> TcpStream {
    let body = question().to_string();
    let mut connection = TcpStream::connect(collector.address()).expect("it listens");
    write!(
        connection,
        "POST /v1/query/paths HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        project.secret_key,
        body.len(),
    )
    .expect("it reads");
    connection
}

/// Processor time of the collector so far.
fn cpu_ms(collector: &TestCollector) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", collector.pid()));
    let stat = stat.expect("the collector runs");
    // The name before it may hold spaces.
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number of ticks")).sum::<u64>() * 10
}

fn import(collector: &TestCollector) {
    let mut rows = String::from("user,at,name,path,half\n");
    for n in 0..EVENTS {
        let (person, second) = (n % PEOPLE, n / PEOPLE);
        let (minute, second) = (second / 60 % 60, second % 60);
        let half = if 2 * n < EVENTS { "first" } else { "second" };
        writeln!(
            rows,
            "u{person},2026-09-01T08:{minute:02}:{second:02}Z,seen,/page/{},{half}",
            n % 5_003
        )
        .expect("a text takes everything");
    }
    let file = collector.scratch().join("slow.csv");
    std::fs::write(&file, rows).expect("the scratch folder is writable");
    let file = file.to_str().expect("its path is UTF-8");
    collector.command_ok(&["import", "--project", "slow", "--format", "csv", file]);
}
