//! What the text of a setting may be.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// A type a setting can have.
pub trait SettingValue: Sized {
    /// From text.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    fn parse(text: &str) -> Result<Self, String>;
    /// Back to text.
    fn show(&self) -> String;
    /// The number that bounds apply to.
    fn number(&self) -> u64 {
        0
    }
}

/// # Errors
/// When `value` is outside `low..=high`.
pub(super) fn within(value: u64, low: u64, high: u64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{value} is out of bounds: {low} to {high}"))
    }
}

macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl SettingValue for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.trim().replace('_', "").parse().map_err(|_| format!("{text:?} is not a whole number"))
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn number(&self) -> u64 {
                u64::from(*self)
            }
        }
    )+ };
}
whole_number!(u32, u64);

impl SettingValue for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("{text:?} is neither true nor false"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.trim().to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .map_err(|_| format!("{text:?} is not an address with a port, like 127.0.0.1:8787"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl SettingValue for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is neither text nor json")),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

/// A secret, which is never shown: not printed, not logged.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// The secret, if there is one.
    pub fn reveal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl SettingValue for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || (SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("a secret has {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} characters"))
    }
    fn show(&self) -> String {
        if self.0.is_empty() { String::new() } else { "(secret)".to_owned() }
    }
}

/// Below this, a secret is soon guessed.
const SECRET_CHARS_MIN: usize = 16;
const SECRET_CHARS_MAX: usize = 1_000;

/// A secret that somebody else gave us, so its length is theirs to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credential(Secret);

impl Credential {
    /// The secret, if there is one.
    pub fn reveal(&self) -> Option<&str> {
        self.0.reveal()
    }
}

impl SettingValue for Credential {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            text if text.len() <= SECRET_CHARS_MAX => Ok(Self(Secret(text.to_owned()))),
            _ => Err(format!("a secret has at most {SECRET_CHARS_MAX} characters")),
        }
    }
    fn show(&self) -> String {
        self.0.show()
    }
}

/// What the names of metrics begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPrefix(pub String);

impl SettingValue for MetricsPrefix {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if plain && !text.starts_with('_') && !text.ends_with('_') && text.len() <= 30 {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} must be lower-case letters with _ between them, at most 30, or nothing"
        ))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// Networks, comma separated; a single address is a network of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetList(pub Vec<IpNet>);

impl NetList {
    /// Whether the address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl SettingValue for NetList {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                part.parse::<IpNet>()
                    .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| format!("{part:?} is not a network like 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for NetList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nets: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&nets.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::parse("0123456789abcdef").unwrap();
        assert_eq!(secret.reveal(), Some("0123456789abcdef"));
        assert!(!format!("{secret:?} {}", secret.show()).contains("0123"));
        assert_eq!(Secret::parse("").unwrap().reveal(), None);
        assert!(!Secret::parse("0123456789abcde").unwrap_err().contains("0123"));
    }

    #[test]
    fn a_network_list_takes_networks_and_single_addresses() {
        let list = NetList::parse("10.0.0.0/8, ::1").unwrap();
        assert_eq!(list.show(), "10.0.0.0/8,::1/128");
        assert!(list.contains("10.200.0.1".parse().unwrap()));
        assert!(!list.contains("11.0.0.1".parse().unwrap()));
        assert!(NetList::parse("10.0.0.0/40").is_err());
    }
}
