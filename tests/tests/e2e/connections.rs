//! Connections of those who mean no good: very slow ones by the thousand (reliability test 17), and bytes that two readers
//! could understand in two ways (18).
//!
//! `TALLYMARK_TEST_SLOW` says how many of each kind of slow client there are.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch};

/// Below this, a longest answer is as good as any: syncs of a shared disk take as long.
const FLOOR: Duration = Duration::from_millis(40);
/// Good clients are looked at for so long, without and with the others.
const HALF: Duration = Duration::from_secs(5);
/// No slow client holds a connection for longer.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// How long answers to good clients took, the slowest of a hundred.
fn good_for(collector: &TestCollector, project: &TestProject, time: Duration) -> Duration {
    let (_, mut random) = seeded("connections");
    let (client, until, mut took) = (collector.client(), Instant::now() + time, Vec::new());
    while Instant::now() < until {
        let body = batch(&project.write_key, &[Event::new("viewed", &mut random)]).to_string();
        let began = Instant::now();
        let reply = client.post(collector.address(), "/v1/batch", &[], body.as_bytes());
        took.push(began.elapsed());
        let reply = reply.expect("the server answers");
        assert_eq!((reply.status, reply.json()["ok"].as_u64()), (200, Some(1)), "{}", reply.text);
        thread::sleep(Duration::from_millis(10));
    }
    took.sort_unstable();
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}

/// Hold connections, each of which begins with `head` and sends a byte a second, or nothing at all. Gives how long the last
/// of them was open until the server closed it.
fn hold(address: SocketAddr, count: usize, head: &[u8], byte: Option<u8>) -> Duration {
    /// So many are opened between two looks: all at once would wait for the system's queue.
    const AT_ONCE: usize = 25;
    let (mut held, mut opened, mut longest) = (Vec::new(), 0, Duration::ZERO);
    let mut written = Instant::now();
    while opened < count || !held.is_empty() {
        for _ in 0..AT_ONCE.min(count - opened) {
            let mut stream = TcpStream::connect(address).expect("the port is open");
            stream.write_all(head).expect("the head goes out");
            stream.set_nonblocking(true).expect("a socket");
            held.push((Instant::now(), stream));
            opened += 1;
        }
        let writes = written.elapsed() >= Duration::from_secs(1);
        if writes {
            written = Instant::now();
        }
        held.retain_mut(|(since, stream)| {
            let is_open = is_open(stream, byte.filter(|_| writes));
            longest = longest.max(since.elapsed());
            is_open && since.elapsed() < 3 * CLOSED_WITHIN
        });
        thread::sleep(Duration::from_millis(25));
    }
    longest
}

/// Whether the server keeps a connection; a byte is sent on it, if there is one.
fn is_open(stream: &mut TcpStream, byte: Option<u8>) -> bool {
    if byte.is_some_and(|byte| stream.write_all(&[byte]).is_err()) {
        return false;
    }
    // Some get to read 408 before the end.
    let mut answer = [0; 1024];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn slow_clients_are_closed_and_slow_nobody_else() {
    let count = amount("TALLYMARK_TEST_SLOW", 100);
    // They come from one address, which may have fewer.
    let collector = TestCollector::start_with(&[("TALLYMARK_ADDRESS_CONNECTIONS", "4096")]);
    let project = collector.project("shop");
    let address = collector.address();
    let alone = good_for(&collector, &project, HALF);
    let header: &[u8] = b"POST /v1/batch HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let body: &[u8] = b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{";
    let (beside, closed) = thread::scope(|scope| {
        let kinds = [(header, Some(b'x')), (body, Some(b' ')), (&b""[..], None)];
        let held = kinds.map(|(head, byte)| scope.spawn(move || hold(address, count, head, byte)));
        let beside = good_for(&collector, &project, HALF);
        (beside, held.map(|held| held.join().expect("it holds")))
    });
    let [header, body, idle] = closed;
    figure(&format!(
        "{count} slow headers, {count} slow bodies and {count} idle connections: closed after {header:.1?}, {body:.1?} and \
         {idle:.1?}; good clients' p99 {alone:.1?} alone, {beside:.1?} beside them"
    ));
    assert!(closed.iter().all(|time| *time <= CLOSED_WITHIN), "{closed:?}");
    assert!(beside <= (2 * alone).max(FLOOR), "{beside:?} beside them, {alone:?} alone");
}

/// A connection from one of this machine's own addresses.
fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("the port is open");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
    stream
}

/// Whether a request on it is answered.
fn is_answered(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 12];
    stream.write_all(SECOND.as_bytes()).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"HTTP/1.1 200"
}

/// Threat T12: one address holds what it may, and others are answered.
#[test]
fn an_address_has_so_many_connections_and_takes_none_of_the_others() {
    const EACH: usize = 20;
    let settings = [
        ("TALLYMARK_ADDRESS_CONNECTIONS", "20"),
        // So many in all: without the other bound the loud one would have them.
        ("TALLYMARK_MAX_CONNECTIONS", "40"),
    ];
    let collector = TestCollector::start_with(&settings);
    let to = collector.address();
    let connect = |source| {
        let mut stream = connect_from(source, to);
        is_answered(&mut stream).then_some(stream)
    };
    let loud = [127, 0, 0, 2];
    let mut held: Vec<_> = (0..3 * EACH).filter_map(|_| connect(loud)).collect();
    assert_eq!(held.len(), EACH, "so many of {} stay", 3 * EACH);
    assert!(connect([127, 0, 0, 3]).is_some(), "another address is answered");
    held.pop();
    let from = Instant::now();
    while connect(loud).is_none() {
        assert!(from.elapsed() < Duration::from_secs(5), "a place that became free is given");
    }
}

/// What must not be answered: it is in the bytes of another request.
const SECOND: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Requests that are malformed, or that readers cut differently. `{second}` is where a wrong reader sees another request.
fn ambiguous() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let post = |lines: &str, body: &str| {
        format!("POST /v1/batch HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n{body}")
    };
    let length = SECOND.len();
    // Both lengths: who goes by the one sees a second request in the other's body.
    for transfer in [
        "transfer-encoding: chunked",
        "Transfer-Encoding: chunked",
        "transfer-encoding: Chunked",
        "transfer-encoding:chunked",
        "transfer-encoding: \tchunked",
        "transfer-encoding: chunked ",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        " transfer-encoding: chunked",
        "transfer-encoding:\u{b}chunked",
        "x: y\r\n\ttransfer-encoding: chunked",
        "transfer-encoding:\r\n chunked",
        "x: y\rtransfer-encoding: chunked",
    ] {
        for (order, lines) in [
            ("first", format!("{transfer}\r\ncontent-length: {}", length + 5)),
            ("last", format!("content-length: {}\r\n{transfer}", length + 5)),
        ] {
            all.push((
                format!("{transfer:?} {order}"),
                post(&lines, &format!("0\r\n\r\n{SECOND}")),
            ));
        }
    }
    for lines in [
        "content-length: 0\r\ncontent-length: 34",
        "content-length: 34\r\ncontent-length: 0",
        "content-length: 0, 34",
        "content-length: +0",
        "content-length: -1",
        "content-length: 0x0",
        "content-length: 0 0",
        "content-length: 1e1",
        "content-length: ",
        "content-length: 0.0",
        "content-length: 18446744073709551616",
        "content-length: 99999999999999999999999999999",
        "content-length\0: 0",
        "content-length : 0",
        "con tent-length: 0",
        "x\0y: 0",
        "x: a\0b",
        "x: a\rb",
        ": nothing",
        "no colon",
        "x: y\r\n folded",
        "x\r\n: y",
    ] {
        all.push((format!("{lines:?}"), post(lines, SECOND)));
    }
    for chunks in [
        "g\r\n",
        "0x0\r\n\r\n",
        "-1\r\n",
        "+0\r\n\r\n",
        "1 \r\na\r\n",
        "1\na\r\n0\r\n\r\n",
        "2\r\nabc\r\n",
        "ffffffffffffffffff\r\n",
        "\r\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
    ] {
        all.push((
            format!("chunks {chunks:?}"),
            post("transfer-encoding: chunked", &format!("{chunks}{SECOND}")),
        ));
    }
    let many: String = (0..101).map(|at| format!("x-{at}: y\r\n")).collect();
    all.push(("101 headers".into(), post(&format!("{many}content-length: 0"), SECOND)));
    all.push(("a header of 64 KiB".into(), post(&format!("x: {}", "y".repeat(64 << 10)), SECOND)));
    all.push((
        "an address of 64 KiB".into(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(64 << 10)),
    ));
    for line in [
        "GET /healthz",
        "GET /healthz HTTP/0.9",
        "GET /healthz HTTP/1.2",
        "GET /healthz HTTP/2.0",
        "GET /healthz http/1.1",
        "GET /healthz  HTTP/1.1",
        "GET /health z HTTP/1.1",
        "GET\t/healthz\tHTTP/1.1",
        "G\0T /healthz HTTP/1.1",
        "G@T(/) /healthz HTTP/1.1",
        " GET /healthz HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /health\0z HTTP/1.1",
    ] {
        all.push((format!("{line:?}"), format!("{line}\r\nhost: x\r\n\r\n")));
    }
    all
}

#[test]
fn what_could_be_read_in_two_ways_is_never_two_requests() {
    let mut collector = TestCollector::start();
    let all = ambiguous();
    assert!(all.len() >= 64, "{}", all.len());
    let mut wrong = Vec::new();
    for (name, bytes) in &all {
        let mut stream = TcpStream::connect(collector.address()).expect("the port is open");
        stream.set_read_timeout(Some(Duration::from_millis(700))).expect("a socket");
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let is_closed = stream
            .read_to_end(&mut answer)
            .map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
        let answer = String::from_utf8_lossy(&answer);
        let answers = answer.matches("HTTP/1.1 ").count();
        let status = answer.get(9..12).unwrap_or("none");
        if answers > 1 || !is_closed || status.starts_with(['1', '2', '3', '5']) {
            wrong.push(format!("{name}: {answers} answers, closed: {is_closed}, {status}"));
        }
    }
    assert!(wrong.is_empty(), "of {}: {wrong:#?}", all.len());
    assert!(collector.is_alive());
    figure(&format!(
        "{} ambiguous or malformed requests: each refused, and the connection closed",
        all.len()
    ));
}
