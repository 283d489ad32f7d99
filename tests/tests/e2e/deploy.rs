//! What is shipped to run a collector, in the programs that read it: Caddy and nginx in front of a real collector, Prometheus'
//! own checks of scrape and alerts.
//!
//! The examples run as they are shipped, but for addresses, ports and certificates. Visitors have addresses of their own
//! on this machine (127/8), so what a proxy says of them can be told from what it is itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tallymark_tests::peer::root;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch};
use tempfile::TempDir;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const SETTINGS: [(&str, &str); 2] = [
    ("TALLYMARK_PUBLIC_URL", "https://stats.example.org"),
    ("TALLYMARK_TRUSTED_PROXIES", "127.0.0.1/32"),
];

fn shipped(file: &str) -> PathBuf {
    root().join("deploy").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(shipped(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A program, also where services are.
fn program(name: &str) -> Command {
    let mut program = Command::new(name);
    program.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    program
}

/// Run a program that must succeed, whatever it says.
fn run(name: &str, arguments: &[&str]) {
    let output = program(name).args(arguments).current_dir(root()).output();
    let output = output
        .unwrap_or_else(|error| panic!("{name}: {error}; `cargo xtask test deploy` installs it"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// Shows S4-34 and S4-76.
#[test]
fn prometheus_takes_the_scrape_and_alerts_begin_when_their_tests_say() {
    run("promtool", &["check", "config", "deploy/prometheus/prometheus.yml"]);
    run("promtool", &["test", "rules", "deploy/prometheus/alerts.test.yml"]);
    let (alerts, tests) = (read("prometheus/alerts.yml"), read("prometheus/alerts.test.yml"));
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test");
    }
    // The same under another prefix, as the command prints it.
    let collector = TestCollector::start_with(&[("TALLYMARK_METRICS_PREFIX", "sbh")]);
    let printed = collector.command_ok(&["monitoring", "alerts"]);
    let file = collector.scratch().join("alerts.yml");
    std::fs::write(&file, printed).unwrap();
    run("promtool", &["check", "rules", file.to_str().unwrap()]);
}

/// A program that was started for a test, and its folder; both end with this.
struct Running {
    child: Child,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start a program in a folder with this configuration, and wait until it listens.
fn start(mut program: Command, folder: TempDir, at: SocketAddr) -> Running {
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    program.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let child = program.spawn().unwrap_or_else(|error| {
        panic!("{program:?}: {error}; `cargo xtask test deploy` installs it")
    });
    let running = Running { child, _folder: folder };
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(at).is_err() {
        let log = std::fs::read_to_string(running._folder.path().join("log"));
        assert!(Instant::now() < until, "{program:?} does not listen: {log:?}");
        thread::sleep(Duration::from_millis(20));
    }
    running
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Where the shop itself is: it answers everything alike.
fn shop() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nthe shop",
                );
            });
        }
    });
    address
}

/// Between a proxy and the collector: passes everything on, and keeps what the proxy sent.
fn tap(server: SocketAddr) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
    let keeps = Arc::clone(&heard);
    thread::spawn(move || {
        for proxy in listener.incoming().filter_map(Result::ok) {
            let keeps = Arc::clone(&keeps);
            let to_server = TcpStream::connect(server).unwrap();
            let (mut back, mut to_proxy) =
                (to_server.try_clone().unwrap(), proxy.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to_proxy);
                let _ = to_proxy.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let (mut proxy, mut to_server, mut bytes) = (proxy, to_server, [0; 16 * 1024]);
                while let Ok(count @ 1..) = proxy.read(&mut bytes) {
                    keeps.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                    if to_server.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                let _ = to_server.shutdown(Shutdown::Write);
            });
        }
    });
    (address, heard)
}

/// A connection from an address of this machine.
fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::from(from), 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Head and body of the answer to one request.
fn ask(from: [u8; 4], to: SocketAddr, head: &str, body: &str) -> (String, String) {
    let mut stream = connect(from, to);
    let length = body.len();
    let request = format!(
        "{head}\r\nuser-agent: {BROWSER}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{head}: {answer:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Bytes of a stream until this text is among them.
fn read_until(stream: &mut TcpStream, heard: &mut String, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    let mut bytes = [0; 4096];
    while !heard.contains(wanted) {
        assert!(Instant::now() < until, "no {wanted:?} in {heard}");
        let count = stream.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {heard}"));
        assert!(count > 0, "the stream ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

/// What holds whichever proxy stands in front: `proxy` is where both of its sites listen, `heard` what it sent on.
fn stands_in_front(collector: &TestCollector, proxy: SocketAddr, heard: &Mutex<String>) {
    let project = collector.project("shop");
    let (_, mut random) = seeded("deploy");
    let mut viewed = |name: &str| {
        let event = Event::new(name, &mut random).without("device");
        batch(&project.write_key, &[event]).to_string()
    };
    let post = "POST /t/v1/batch HTTP/1.1\r\nhost: shop.example.org\r\ncontent-type: text/plain";
    let forged = format!("{post}\r\nx-forwarded-for: 9.9.9.9\r\ncookie: shop=her-basket");
    let direct = post.replace("/t/v1", "/v1");

    // Events arrive under the site's own name, and by the visitor's network: nobody can say that it is another.
    for (name, from, to, head) in [
        ("a", [127, 66, 5, 4], proxy, forged.as_str()),
        ("b", [127, 66, 5, 99], proxy, post),
        ("c", [127, 77, 5, 4], proxy, post),
        ("d", [127, 66, 5, 7], collector.address(), direct.as_str()),
    ] {
        let (answer, receipt) = ask(from, to, head, &viewed(name));
        assert!(answer.starts_with("http/1.1 200"), "{name}: {answer} {receipt}");
        assert!(receipt.contains("\"ok\":1"), "{name}: {receipt}");
        assert!(answer.contains("access-control-allow-origin: *"), "{name}: {answer}");
    }
    let person = |name: &str| person_of(collector, &project, name);
    assert_eq!((person("a"), person("b")), (person("d"), person("d")), "one network, one visitor");
    assert_ne!(person("c"), person("d"), "another network");
    let sent = heard.lock().unwrap().to_ascii_lowercase();
    assert!(sent.contains("x-forwarded-for: 127.66.5.4"), "{sent}");
    assert!(!sent.contains("9.9.9.9") && !sent.contains("her-basket"), "{sent}");

    // The site's own path leads to what pages need, and to nothing else.
    let script =
        ask([127, 0, 0, 9], proxy, "GET /t/sdk/nothing.js HTTP/1.1\r\nhost: shop.example.org", "");
    assert!(script.0.starts_with("http/1.1 404"), "{script:?}");
    let flags = format!("GET /t/v1/flags/{} HTTP/1.1\r\nhost: shop.example.org", project.write_key);
    assert!(ask([127, 0, 0, 9], proxy, &flags, "").0.starts_with("http/1.1 200"), "{flags}");
    for path in
        ["/", "/t/", "/t/signin", "/t/metrics", "/t/v1/events", "/t/v1/batch/x", "/v1/batch"]
    {
        let head = format!("GET {path} HTTP/1.1\r\nhost: shop.example.org");
        assert_eq!(ask([127, 0, 0, 9], proxy, &head, "").1, "the shop", "{path}");
    }

    // The dashboard has its name, its headers once, and no figures of the service for strangers.
    let stats = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: stats.example.org");
    let (page, html) = ask([127, 0, 0, 9], proxy, &stats("/signin"), "");
    assert!(page.starts_with("http/1.1 200") && html.contains("<form"), "{page}");
    for header in ["content-security-policy: ", "x-content-type-options: nosniff"] {
        assert_eq!(page.matches(header).count(), 1, "{header} in {page}");
    }
    let (metrics, _) = ask([127, 0, 0, 9], proxy, &stats("/metrics"), "");
    assert!(metrics.starts_with("http/1.1 401"), "a proxy is not this machine: {metrics}");

    // More than a batch can have is refused in our words: a proxy that cuts it off itself may call that its own failure.
    let (large, _) = ask([127, 0, 0, 9], proxy, post, &" ".repeat(1_500_000));
    assert!(large.starts_with("http/1.1 413"), "{large}");

    // Live figures arrive as they happen, also where the browser takes them packed.
    let mut live = connect([127, 0, 0, 9], proxy);
    let bearer = format!("authorization: Bearer {}", project.secret_key);
    let head =
        format!("{}\r\n{bearer}\r\naccept-encoding: gzip, br, zstd\r\n\r\n", stats("/v1/live"));
    live.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    read_until(&mut live, &mut seen, "data:");
    assert!(seen.to_ascii_lowercase().contains("content-type: text/event-stream"), "{seen}");
    ask([127, 66, 5, 4], proxy, post, &viewed("viewed_live"));
    let from = Instant::now();
    read_until(&mut live, &mut seen, "viewed_live");
    assert!(from.elapsed() < Duration::from_secs(4), "{:?}", from.elapsed());
}

/// Whom the only event of this name belongs to.
fn person_of(collector: &TestCollector, project: &TestProject, name: &str) -> Value {
    let listed = collector.get(project, &format!("/v1/events?event={name}")).json();
    assert_eq!(listed["events"].as_array().map(Vec::len), Some(1), "{listed}");
    listed["events"][0]["person"].clone()
}

#[test]
fn behind_caddy_visitors_keep_their_network_and_streams_flow() {
    let shipped_file = shipped("Caddyfile");
    let file = shipped_file.to_str().unwrap();
    run("caddy", &["validate", "--adapter", "caddyfile", "--config", file]);

    let collector = TestCollector::start_with(&SETTINGS);
    let (to, heard) = tap(collector.address());
    let (proxy, folder) = (free_address(), tempfile::tempdir().unwrap());
    let port = proxy.port();
    let mut text = read("Caddyfile")
        .replace("127.0.0.1:8787", &to.to_string())
        .replace("127.0.0.1:3000", &shop().to_string());
    for site in ["stats.example.org {", "shop.example.org {"] {
        let (name, _) = site.split_once(' ').unwrap();
        assert_eq!(text.matches(&format!("\n{site}")).count(), 1, "{site}");
        text = text.replace(&format!("\n{site}"), &format!("\nhttp://{name}:{port} {{"));
    }
    let config = folder.path().join("Caddyfile");
    std::fs::write(&config, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}")).unwrap();
    let mut caddy = program("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
    caddy.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
    let _running = start(caddy, folder, proxy);
    stands_in_front(&collector, proxy, &heard);
}

/// A configuration of nginx with the shipped file in it, for a folder.
fn nginx_config(folder: &Path, servers: &str) -> PathBuf {
    let here = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|what| format!("{what}_temp_path {here}/{what};\n")).collect();
    let config = folder.join("nginx.conf");
    // One process, which stays who started it.
    let text = format!(
        "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log stderr warn;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{servers}\n}}\n"
    );
    std::fs::write(&config, text).unwrap();
    config
}

#[test]
fn behind_nginx_visitors_keep_their_network_and_streams_flow() {
    let collector = TestCollector::start_with(&SETTINGS);
    let (to, heard) = tap(collector.address());
    let (proxy, folder) = (free_address(), tempfile::tempdir().unwrap());
    let text = read("nginx.conf")
        .replace("127.0.0.1:8787", &to.to_string())
        .replace("127.0.0.1:3000", &shop().to_string());
    assert_eq!(text.matches("listen 443 ssl;").count(), 2);

    // As it is shipped, with a certificate.
    let names = ["stats.example.org".to_owned(), "shop.example.org".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.path().join("stats.example.org.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("stats.example.org.key"), made.signing_key.serialize_pem())
        .unwrap();
    let here = folder.path().display().to_string();
    let encrypted = text
        .replace("listen 443 ssl;", &format!("listen {} ssl;", free_address()))
        .replace("/etc/ssl/shop.", &format!("{here}/stats."))
        .replace("/etc/ssl/", &format!("{here}/"));
    let config = nginx_config(folder.path(), &encrypted);
    run("nginx", &["-t", "-p", &here, "-c", config.to_str().unwrap()]);

    // The same unencrypted.
    let certificates = |line: &&str| !line.trim_start().starts_with("ssl_certificate");
    let plain: String = text.lines().filter(certificates).map(|line| format!("{line}\n")).collect();
    let plain = plain.replace("listen 443 ssl;", &format!("listen {proxy};"));
    let config = nginx_config(folder.path(), &plain);
    let mut nginx = program("nginx");
    nginx.arg("-p").arg(folder.path()).arg("-c").arg(config);
    let _running = start(nginx, folder, proxy);
    stands_in_front(&collector, proxy, &heard);
}
