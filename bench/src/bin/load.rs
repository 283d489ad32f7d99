//! Load: keep-alive connections that send batches, as fast as the answers come or at a given rate.
//!
//! usage: `load ADDRESS WRITE_KEY EVENTS_PER_BATCH CONNECTIONS SECONDS [EVENTS_PER_SECOND]`; prints
//! one JSON object.
//!
//! Without a rate every connection sends its next batch when the last one is answered: this finds
//! the most that a server takes. With a rate the loop is open: a batch has a moment at which it is
//! due, whatever became of the ones before, and its wait is counted from then, so a server that
//! stands still for a second shows it in every batch that was due in that second.
//!
//! The body is rendered once; only event ids change between two sends, written in place, and all
//! connections share one thread: the generator runs on the machine it measures, and says itself how
//! much of it it took (`cpu_s`).

use std::io;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use memchr::memmem::find;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const NAMES: [&str; 3] = ["page_viewed", "added_to_cart", "purchased"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (address, key, batch, connections, seconds, rate) = match arguments.as_slice() {
        [address, key, batch, connections, seconds] => {
            (address, key, batch, connections, seconds, None)
        }
        [address, key, batch, connections, seconds, rate] => {
            (address, key, batch, connections, seconds, Some(rate.parse::<f64>()?))
        }
        _ => bail!(
            "usage: load ADDRESS WRITE_KEY EVENTS_PER_BATCH CONNECTIONS SECONDS [EVENTS_PER_SECOND]"
        ),
    };
    let (batch, connections) = (batch.parse::<usize>()?, connections.parse::<u32>()?);
    let from = Instant::now();
    let until = from + Duration::from_secs(seconds.parse()?);
    let senders: Vec<_> = (0..connections)
        .map(|connection| {
            let request = Request::new(address, key, batch, connection.into());
            // Connections take turns: together they have the rate.
            let pace = rate.map(|rate| {
                let every = Duration::from_secs_f64(batch as f64 / rate);
                Pace { due: from + every * connection, every: every * connections }
            });
            tokio::spawn(send_until(address.clone(), request, pace, until))
        })
        .collect();
    let mut waits = Vec::new();
    for sender in senders {
        waits.extend(sender.await??);
    }
    let took = from.elapsed().as_secs_f64();
    ensure!(!waits.is_empty(), "no answer came in time");
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let report = json!({
        "requests": waits.len(),
        "events_per_s": (waits.len() * batch) as f64 / took,
        "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
        "cpu_s": cpu_seconds()?,
    });
    println!("{report}");
    Ok(())
}

/// When an open loop sends.
struct Pace {
    due: Instant,
    every: Duration,
}

/// One connection's work; how long each answer took.
async fn send_until(
    address: String,
    mut request: Request,
    mut pace: Option<Pace>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = Answer::default();
    let mut waits = Vec::new();
    loop {
        let from = match &mut pace {
            None => Instant::now(),
            Some(pace) => {
                let due = pace.due;
                pace.due += pace.every;
                sleep_until(due).await;
                due
            }
        };
        if from >= until {
            return Ok(waits);
        }
        stream.write_all(request.next()).await?;
        answer.read(&mut stream).await?;
        waits.push(from.elapsed());
    }
}

/// A rendered request whose event ids are renewed before each send.
struct Request {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    sent: u64,
    connection: u64,
}

impl Request {
    fn new(address: &str, key: &str, batch: usize, connection: u64) -> Request {
        const ID: &str = "########-####-7###-8###-############";
        let now_ms = now_ms();
        let event = |index: usize| {
            json!({
                "id": ID, "name": NAMES[index % NAMES.len()],
                "at": now_ms, "mono": 5_000.5, "n": index,
                "device": format!("{:064x}", connection << 32 | index as u64),
                "session": "01a20217-218f-7da0-9d12-b3f82d8397c8",
                "props": { "plan": "team", "seats": 5, "value": 29.99, "page": "/p/17", "position": index },
            })
        };
        let body = json!({
            "key": key, "nonce": format!("{connection:032x}"), "sdk": "load/1",
            "sent_at": now_ms, "sent_mono": 5_100.0,
            "context": { "url": "https://shop.example/p/17?utm_source=news", "language": "de-DE" },
            "events": (0..batch).map(event).collect::<Vec<_>>(),
        });
        let body = body.to_string();
        let head = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {address}\r\nuser-agent: {BROWSER}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let text = head + &body;
        let ids = text.match_indices(ID).map(|(at, _)| at).collect();
        let mut request = Request { bytes: text.into_bytes(), ids, sent: 0, connection };
        request.number();
        request
    }

    /// Behind the time, ids say whose they are.
    fn number(&mut self) {
        for (index, at) in self.ids.iter().enumerate() {
            let place = format!("{:03x}{:03x}", self.connection & 0xfff, index);
            self.bytes[at + 15..at + 18].copy_from_slice(&place.as_bytes()[..3]);
            self.bytes[at + 20..at + 23].copy_from_slice(&place.as_bytes()[3..6]);
        }
    }

    fn next(&mut self) -> &[u8] {
        self.sent += 1;
        let (time, count) = (format!("{:012x}", now_ms()), format!("{:012x}", self.sent));
        for at in &self.ids {
            self.bytes[*at..at + 8].copy_from_slice(&time.as_bytes()[..8]);
            self.bytes[at + 9..at + 13].copy_from_slice(&time.as_bytes()[8..]);
            self.bytes[at + 24..at + 36].copy_from_slice(count.as_bytes());
        }
        &self.bytes
    }
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The bytes of an answer, as far as they have come.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Read one answer to its end; anything but 200, and any refused event, is an error.
    async fn read(&mut self, stream: &mut TcpStream) -> anyhow::Result<()> {
        const LENGTH: &[u8] = b"content-length: ";
        self.bytes.clear();
        let mut whole = None;
        while whole.is_none_or(|whole| self.bytes.len() < whole) {
            let count = pin!(stream.read_buf(&mut self.bytes)).await?;
            ensure!(count > 0, io::Error::from(io::ErrorKind::UnexpectedEof));
            if let (None, Some(end)) = (whole, find(&self.bytes, b"\r\n\r\n")) {
                let head = &self.bytes[..end];
                let at = find(head, LENGTH).context("an answer says its length")? + LENGTH.len();
                let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
                let length =
                    digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
                whole = Some(end + 4 + length);
            }
        }
        let ok = self.bytes.starts_with(b"HTTP/1.1 200") && find(&self.bytes, br#""i":"#).is_none();
        ensure!(ok, "the server refused: {}", String::from_utf8_lossy(&self.bytes));
        Ok(())
    }
}

/// What this process has used of the machine, user and system together.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything: `utime` and `stime` are fields 14 and 15 of all, in
    // ticks of 1/100 s.
    let (_, fields) = stat.rsplit_once(')').context("the name is in parentheses")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
