//! Load: keep-alive connections that send batches as fast as the answers come.
//!
//! usage: `load ADDRESS WRITE_KEY EVENTS_PER_BATCH CONNECTIONS SECONDS`; prints one JSON object.
//! The body is rendered once; only event ids change between two sends, written in place, so that
//! the generator takes little of the machine it shares with the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use serde_json::json;

const NAMES: [&str; 3] = ["page_viewed", "added_to_cart", "purchased"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, key, batch, connections, seconds] = arguments.as_slice() else {
        bail!("usage: load ADDRESS WRITE_KEY EVENTS_PER_BATCH CONNECTIONS SECONDS");
    };
    let (batch, connections) = (batch.parse::<usize>()?, connections.parse::<u64>()?);
    let until = Instant::now() + Duration::from_secs(seconds.parse()?);
    let from = Instant::now();
    let runs = std::thread::scope(|scope| {
        let start =
            |connection| scope.spawn(move || send_until(address, key, batch, connection, until));
        let senders: Vec<_> = (0..connections).map(start).collect();
        let ends =
            senders.into_iter().map(|sender| sender.join().expect("a sender does not panic"));
        ends.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let took = from.elapsed().as_secs_f64();
    let mut waits: Vec<_> = runs.into_iter().flatten().collect();
    ensure!(!waits.is_empty(), "no answer came in time");
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let report = json!({
        "requests": waits.len(),
        "events_per_s": (waits.len() * batch) as f64 / took,
        "p50_ms": at(0.5), "p99_ms": at(0.99),
    });
    println!("{report}");
    Ok(())
}

/// One connection's work; how long each answer took.
fn send_until(
    address: &str,
    key: &str,
    batch: usize,
    connection: u64,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut request = Request::new(address, key, batch, connection);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut waits = Vec::new();
    while Instant::now() < until {
        let bytes = request.next();
        let from = Instant::now();
        stream.write_all(bytes)?;
        read_answer(&mut answers)?;
        waits.push(from.elapsed());
    }
    Ok(waits)
}

/// A rendered request whose event ids are renewed before each send.
struct Request {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    sent: u64,
    connection: u64,
}

impl Request {
    #[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
    fn new(address: &str, key: &str, batch: usize, connection: u64) -> Request {
        const ID: &str = "########-####-7###-8###-############";
        let now_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let event = |index: usize| {
            json!({
                "id": ID, "name": NAMES[index % NAMES.len()],
                "at": now_ms as u64, "mono": 5_000.5, "n": index,
                "device": format!("{:064x}", connection << 32 | index as u64),
                "session": "01a20217-218f-7da0-9d12-b3f82d8397c8",
                "props": { "plan": "team", "seats": 5, "value": 29.99, "page": "/p/17", "position": index },
            })
        };
        let body = json!({
            "key": key, "nonce": format!("{connection:032x}"), "sdk": "load/1",
            "sent_at": now_ms as u64, "sent_mono": 5_100.0,
            "context": { "url": "https://shop.example/p/17?utm_source=news", "language": "de-DE" },
            "events": (0..batch).map(event).collect::<Vec<_>>(),
        });
        let body = body.to_string();
        let head = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {address}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let text = head + &body;
        let ids = text.match_indices(ID).map(|(at, _)| at).collect();
        let mut request = Request { bytes: text.into_bytes(), ids, sent: 0, connection };
        request.stamp(now_ms as u64);
        request
    }

    /// The 48 bits of time are the same for the whole run; what follows counts.
    fn stamp(&mut self, now_ms: u64) {
        let time = format!("{now_ms:012x}");
        for at in &self.ids {
            self.bytes[*at..at + 8].copy_from_slice(&time.as_bytes()[..8]);
            self.bytes[at + 9..at + 13].copy_from_slice(&time.as_bytes()[8..]);
        }
    }

    fn next(&mut self) -> &[u8] {
        self.sent += 1;
        for (index, at) in self.ids.iter().enumerate() {
            let rest = format!("{:03x}{:03x}{:012x}", self.connection & 0xfff, index, self.sent);
            self.bytes[at + 15..at + 18].copy_from_slice(&rest.as_bytes()[..3]);
            self.bytes[at + 20..at + 23].copy_from_slice(&rest.as_bytes()[3..6]);
            self.bytes[at + 24..at + 36].copy_from_slice(&rest.as_bytes()[6..]);
        }
        &self.bytes
    }
}

/// Read one answer to its end; anything but 200 is an error.
fn read_answer(answers: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let (mut line, mut length, mut status) = (String::new(), 0, String::new());
    loop {
        line.clear();
        ensure!(answers.read_line(&mut line)? > 0, "the server closed the connection");
        let header = line.trim_end().to_ascii_lowercase();
        if status.is_empty() {
            status = header;
        } else if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().context("a length is a number")?;
        } else if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status.contains(" 200"), "the server answered {status}: {text}");
    ensure!(!text.contains(r#""i":"#), "the server refused events: {text}");
    Ok(())
}
