//! A TCP proxy that loses answers: the request arrives and is done, the answer never comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A proxy in front of a server; it ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    dropped: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of `server`; of a hundred answers, `percent` are lost: half of them wholly, half of
    /// them after their first bytes.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(server: SocketAddr, seed: u64, percent: u32) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound port has an address");
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dropped);
        thread::spawn(move || {
            for (at, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { continue };
                let random = StdRng::seed_from_u64(seed ^ at as u64);
                let count = Arc::clone(&count);
                thread::spawn(move || drop(relay(&client, server, random, percent, &count)));
            }
        });
        Proxy { address, dropped }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers lost so far.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One connection. Requests pass as they come; an answer is read whole before anything of it is
/// passed on, so that what is lost was committed.
fn relay(
    client: &TcpStream,
    server: SocketAddr,
    mut random: StdRng,
    percent: u32,
    dropped: &AtomicUsize,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 << 10];
    let mut answer = Vec::new();
    loop {
        let count = (&server).read(&mut buffer)?;
        if count == 0 {
            return client.shutdown(Shutdown::Both);
        }
        answer.extend_from_slice(&buffer[..count]);
        let Some(length) = whole(&answer) else { continue };
        if random.random_range(0..100) < percent {
            dropped.fetch_add(1, Ordering::Relaxed);
            let passed = if random.random() { 0 } else { random.random_range(0..length) };
            (&*client).write_all(&answer[..passed])?;
            client.shutdown(Shutdown::Both)?;
            return server.shutdown(Shutdown::Both);
        }
        (&*client).write_all(&answer[..length])?;
        answer.drain(..length);
    }
}

/// The length of the answer at the start of `bytes`, once all of it is there. Receipts have a
/// `Content-Length`.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let end = head + length.trim().parse::<usize>().ok()?;
    (bytes.len() >= end).then_some(end)
}
