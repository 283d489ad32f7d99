//! Settings: one table, three sources, and where each value came from.
//!
//! A setting comes from a flag, else from `TALLYMARK_<KEY>`, else from the TOML file, else from its
//! default. The table below is all there is: flags, environment names, the file's keys, bounds and
//! `tallymark config` are derived from it.
//!
//! Invariant: a value that is out of bounds or a key that nobody knows is an error that names the
//! source, never a silent default.
//!
//! Deliberately elsewhere: limits that are part of the protocol (`tallymark_protocol::limits`);
//! those are the same everywhere.

mod load;
mod memory;
mod value;

pub use load::{Loaded, Origin, Sources, load};
pub use memory::{Ahead, Memory, machine_bytes};
pub use value::{Credential, LogFormat, MetricsPrefix, NetList, Secret, SettingValue};

use std::net::SocketAddr;

use crate::bulk::form::FormSetting;
use crate::mail::{MailFrom, MailServerSetting};
use crate::signin::oidc::NewMembers;
use crate::usage::quotas::Quotas;

/// What is known about one setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in the file: snake case.
    pub key: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The default, as text.
    pub default: &'static str,
    /// Inclusive bounds of a number.
    pub bounds: Option<(u64, u64)>,
}

impl Setting {
    /// `TALLYMARK_<KEY>`.
    pub fn env_name(&self) -> String {
        format!("TALLYMARK_{}", self.key.to_uppercase())
    }

    /// The flag without its dashes: `max-connections`.
    pub fn flag_name(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The setting of this key.
    pub fn find(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $key:ident : $type:ty = $default:literal $(, $low:literal ..= $high:literal)?; )+) => {
        /// The settings in force.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config { $( $(#[doc = $doc])+ pub $key: $type, )+ }

        /// All settings, in the order `tallymark config` prints them.
        pub const SETTINGS: &[Setting] = &[$( Setting {
            key: stringify!($key),
            doc: concat!($($doc),+),
            default: $default,
            bounds: settings!(@bounds $($low, $high)?),
        } ),+];

        impl Default for Config {
            fn default() -> Self {
                Self { $( $key: <$type as SettingValue>::parse($default)
                    .expect("a test parses every default"), )+ }
            }
        }

        impl Config {
            /// Set one value from its text.
            ///
            /// # Errors
            /// A sentence that says what is allowed.
            pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $( stringify!($key) => {
                        let value = <$type as SettingValue>::parse(text)?;
                        $( value::within(SettingValue::number(&value), $low, $high)?; )?
                        self.$key = value;
                        Ok(())
                    } )+
                    _ => Err(format!("there is no setting {key:?}")),
                }
            }

            /// One value as text.
            pub fn show(&self, key: &str) -> Option<String> {
                match key {
                    $( stringify!($key) => Some(SettingValue::show(&self.$key)), )+
                    _ => None,
                }
            }
        }
    };
    (@bounds) => { None };
    (@bounds $low:literal, $high:literal) => { Some(($low, $high)) };
}

settings! {
    /// Address and port to listen on; port 0 takes a free one.
    listen: SocketAddr = "127.0.0.1:8787";
    /// The address people type, when a proxy stands in front: `https://stats.example.org`.
    public_url: String = "";
    /// A file of certificates (PEM), the server's first, to speak TLS without a proxy; with `tls_key`. Read again when
    /// it changes.
    tls_cert: String = "";
    /// The file of its private key (PEM).
    tls_key: String = "";
    /// Networks whose `X-Forwarded-For` is believed, comma separated: `10.0.0.0/8,::1/128`.
    trusted_proxies: NetList = "";
    /// Open connections at one time; more wait in the system's queue.
    max_connections: u32 = "4096", 1 ..= 1_000_000;
    /// Open connections of one address (of a /64 of IPv6), trusted proxies apart; more are closed at once.
    address_connections: u32 = "1024", 1 ..= 1_000_000;
    /// Time for a client to send its request headers, in ms.
    header_timeout_ms: u64 = "5000", 100 ..= 120_000;
    /// Time before a body's speed is judged, in ms.
    body_grace_ms: u64 = "5000", 100 ..= 120_000;
    /// Slowest body accepted after that, in bytes per second on average.
    body_min_bytes_per_s: u64 = "1024", 1 ..= 1_048_576;
    /// Time for open requests to finish after a signal to stop, in ms.
    drain_ms: u64 = "10000", 0 ..= 600_000;
    /// Batches being worked on at one time; more are answered 503 with Retry-After.
    ingest_concurrency: u32 = "512", 1 ..= 100_000;
    /// Batches per second and key, on average; more are answered 429 with Retry-After.
    ingest_rate_per_s: u32 = "20000", 1 ..= 1_000_000;
    /// Batches that a key may send at once before its rate counts.
    ingest_burst: u32 = "100000", 1 ..= 10_000_000;
    /// Batches per second of pages in one network (/24 or /48), on average; more are answered 429.
    network_rate_per_s: u32 = "20000", 1 ..= 1_000_000;
    /// Batches that pages in one network may send at once before its rate counts.
    network_burst: u32 = "100000", 1 ..= 10_000_000;
    /// Batches per second of a project that has no limit of its own, on average; more are answered 429.
    project_rate_per_s: u32 = "50000", 1 ..= 1_000_000;
    /// Hide e-mail addresses, telephone and card numbers, tokens, and properties that are called a secret in
    /// what pages and servers send: `true` or `false`.
    property_guard: bool = "true";
    /// Know people for longer than a day, where their project does: `true` or `false`. Without it all projects are
    /// as if their mode was cookieless.
    user_tracking: bool = "true";
    /// A file in MaxMind's format that says which country a network is in; without one, what the registries
    /// assigned is built in. Read at the start.
    country_file: String = "";
    /// A file with more patterns of robots' User-Agents, as the npm package crawler-user-agents has them. Read at
    /// the start.
    bot_file: String = "";
    /// Take events: `true`, or `false` to answer batches 202 and store nothing, until it is turned on again.
    analytics_enabled: bool = "true";
    /// Look at quotas: `true`, or `false` so that nothing is ever exceeded.
    quotas_enabled: bool = "true";
    /// Quotas by day of projects that have no own, as JSON: `{"api_requests_daily": 100000}`.
    quota_defaults: Quotas = "{}";
    /// Most rows of `/api/analytics/export.csv`.
    max_export_rows: u32 = "50000", 1 ..= 100_000_000;
    /// What scrapers of the metrics send as `Authorization: Bearer …`. Without one they are shown on this machine, and to
    /// keys with `metrics:read`.
    metrics_token: Secret = "";
    /// From how many percent on retention is good on the page of the growth report.
    retention_good_percent: u32 = "40", 0 ..= 100;
    /// From how many percent on it is fair.
    retention_fair_percent: u32 = "20", 0 ..= 100;
    /// A folder for a file of raw events of each project and day, written at ten past midnight UTC; empty for none.
    export_folder: String = "";
    /// The same files in a bucket of an S3-compatible store, by the address that names begin with:
    /// `https://s3.example.org/bucket/prefix` or `https://bucket.s3.example.org/prefix`; empty for none.
    export_bucket: String = "";
    /// The name of the key for it, which may read and write below that address.
    export_bucket_key: String = "";
    /// The key.
    export_bucket_secret: Credential = "";
    /// The region, as the store names it.
    export_bucket_region: String = "us-east-1";
    /// The form of these files: `parquet`, `jsonl` or `csv`.
    export_format: FormSetting = "parquet";
    /// The server that sends invitations and links to another password: `smtps://host`, `smtp://host` (encrypted by STARTTLS), or
    /// `smtp-plain://host`. Without one, links are shown to whoever makes them.
    mail_server: MailServerSetting = "";
    /// The name to sign in with at the mail server, where it wants one.
    mail_user: String = "";
    /// The password for it.
    mail_password: Credential = "";
    /// Whom mails are from: `Our figures <stats@example.org>`.
    mail_from: MailFrom = "";
    /// Whether members may have reports posted to webhooks inside your own network, and without https.
    webhook_private: bool = "false";
    /// A provider of OpenID Connect with whose accounts people may sign in, by its address: `https://login.example.org/realms/main`.
    oidc_issuer: String = "";
    /// As what the provider knows this server.
    oidc_client_id: String = "";
    /// The secret that goes with it; a public client has none.
    oidc_client_secret: Credential = "";
    /// What these accounts are called on the sign-in page.
    oidc_name: String = "another account";
    /// What somebody becomes, in the organisation `main`, who signs in with such an account for the first time: `viewer`, `analyst` or
    /// `admin`. Empty: only members sign in.
    oidc_new_members: NewMembers = "";
    /// Whose addresses make them members then: `example.org`, several with commas between them.
    oidc_domains: String = "";
    /// A file to which the ends of the audit trail are added every day, best on a disk that this machine can only add to; empty for
    /// `audit-anchors.jsonl` in the data folder.
    audit_anchors: String = "";
    /// What the names of metrics begin with.
    metrics_prefix: MetricsPrefix = "tallymark";
    /// Count events and usage by project in the metrics, at most 400 series of each: `true` or `false`.
    metrics_by_project: bool = "false";
    /// Threads of one question.
    query_threads: u32 = "2", 1 ..= 256;
    /// Memory of one question beside the cache, in bytes; one that needs more is answered 422.
    question_bytes: u64 = "268435456", 16_777_216 ..= 1_099_511_627_776;
    /// Columns kept in memory between questions, in bytes or as a share of the machine's memory; 0
    /// keeps none. Ten bytes an event are plenty.
    cache_bytes: Memory = "25%", 0 ..= 1_099_511_627_776;
    /// How much of the cache a start fills by itself with what nearly every question reads, the newest
    /// first, in bytes; 0 leaves it to the first questions. `auto`: 304 MiB, or three bytes for each stored
    /// event where that is more.
    warm_bytes: Ahead = "auto", 0 ..= 1_099_511_627_776;
    /// Days after its receipt in which a resend of an event is recognised for certain; then its id, the
    /// largest part of a stored event, is dropped. 0 drops ids with the next merge.
    dedupe_days: u32 = "31", 0 ..= 36_500;
    /// Days after the end of a month in which its weeks stay files of their own.
    month_after_days: u32 = "35", 1 ..= 36_500;
    /// Segments of like size in a week that are merged into one. Fewer make questions quicker, more
    /// spare the disk.
    merge_segments: u32 = "8", 2 ..= 16;
    /// Time without a new segment after which a week's remaining segments are merged, in ms.
    merge_idle_ms: u64 = "600000", 1_000 ..= 86_400_000;
    /// Files of one import through the dashboard, in bytes together; they lie on the disk until they are imported.
    import_bytes: u64 = "4294967296", 1_024 ..= 1_099_511_627_776;
    /// Refused events kept per project, to be listed and sent again; older ones go for newer ones.
    quarantine_events: u32 = "10000", 0 ..= 10_000_000;
    /// Questions worked on at one time.
    query_concurrency: u32 = "2", 1 ..= 256;
    /// Longest time that a question is worked on, in ms; then it is stopped and answered 504.
    query_timeout_ms: u64 = "300000", 100 ..= 86_400_000;
    /// Questions waiting; more are answered 503 with Retry-After.
    query_waiting: u32 = "16", 0 ..= 10_000;
    /// Streams of live figures at one time; more are answered 503 with Retry-After.
    live_streams: u32 = "64", 0 ..= 10_000;
    /// Events that wait to be written, in bytes; more are answered 503 with Retry-After.
    queue_bytes: u64 = "33554432", 1_048_576 ..= 17_179_869_184;
    /// Memory for the ids of known events, in bytes; beyond it duplicates are found on the disk.
    dedupe_bytes: u64 = "150000000", 1_000_000 ..= 1_099_511_627_776;
    /// Memory for who is who, in bytes, about 150 for each device that signed in; beyond it devices are
    /// not joined to their users any more, and counted.
    links_bytes: u64 = "268435456", 1_000_000 ..= 1_099_511_627_776;
    /// Memory for events that a flush or a merge gives to another person, in bytes; beyond it they wait in
    /// a file.
    moved_bytes: u64 = "33554432", 1_048_576 ..= 17_179_869_184;
    /// Events in memory before they are written as a segment, in bytes.
    memtable_bytes: u64 = "134217728", 1_048_576 ..= 17_179_869_184;
    /// The most that a log file is made long, in bytes. One is made ahead, so that a full disk shows
    /// early.
    log_file_bytes: u64 = "67108864", 1_048_576 ..= 4_294_967_296;
    /// Bytes of the disk that stay free for writing segments; below that events are answered 503.
    min_free_bytes: u64 = "268435456", 0 ..= 1_099_511_627_776;
    /// Longest time before events in memory are written as a segment, in ms.
    flush_interval_ms: u64 = "300000", 1_000 ..= 86_400_000;
    /// Where traces go, as OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`, or an address that begins with `https://`; empty for none.
    traces_url: String = "";
    /// Most traces that begin in a second; others are not made.
    traces_per_s: u32 = "100", 0 ..= 1_000_000;
    /// What is logged: `error`, `warn`, `info`, `debug`, or filters such as `tallymark=debug`.
    log: String = "info";
    /// How logs look: `text` or `json`.
    log_format: LogFormat = "text";
}

impl Config {
    /// Whether people come over https, by a proxy or by TLS of our own.
    pub fn is_https(&self) -> bool {
        match self.public_url.as_str() {
            "" => !self.tls_cert.is_empty(),
            url => url.starts_with("https://"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_parses_and_lies_within_its_bounds() {
        let mut config = Config::default();
        for setting in SETTINGS {
            config.set(setting.key, setting.default).unwrap();
            assert_eq!(
                config.show(setting.key).as_deref(),
                Some(setting.default),
                "{}",
                setting.key
            );
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_the_bounds() {
        let error = Config::default().set("query_threads", "0").unwrap_err();
        assert_eq!(error, "0 is out of bounds: 1 to 256");
    }
}
