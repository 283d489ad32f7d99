//! The country of a network.
//!
//! In: an address that is cut to its network already. Out: two letters of ISO 3166-1, or nothing.
//!
//! The data is what the five registries assigned, built in, or a file in MaxMind's format that the setting
//! `country_file` names; it is read at the start, so a newer file takes effect with the next one. Assigned is not
//! where somebody is: a network of one country may be used in another.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{Reader, path};

/// Two letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country([u8; 2]);

/// Codes that registries use for no country.
const NONE: [&str; 3] = ["ZZ", "EU", "AP"];

impl Country {
    fn parse(code: &str) -> Option<Self> {
        let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
        let is_one = letters.iter().all(u8::is_ascii_uppercase) && !NONE.contains(&code);
        is_one.then_some(Self(letters))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("they are ASCII letters")
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the setting country_file: {path} is no country database: {cause}")]
pub struct CountryFileError {
    path: String,
    cause: maxminddb::MaxMindDbError,
}

/// Which country a network is in.
#[derive(Debug, Default)]
pub struct Countries(Option<Reader<Vec<u8>>>);

impl Countries {
    /// By this file; by what is built in when it has no name.
    ///
    /// # Errors
    /// When there is no such file, or it is none of its kind.
    pub fn open(file: &str) -> Result<Self, CountryFileError> {
        if file.is_empty() {
            return Ok(Self(None));
        }
        let opened = Reader::open_readfile(Path::new(file));
        let reader = opened.map_err(|cause| CountryFileError { path: file.to_owned(), cause })?;
        Ok(Self(Some(reader)))
    }

    /// The country of a network, if it is known.
    pub fn of(&self, network: IpAddr) -> Option<Country> {
        let Some(reader) = &self.0 else {
            return iptocc::country_code(network).and_then(Country::parse);
        };
        let found = reader.lookup(network).ok()?;
        let code: Option<&str> = found.decode_path(&path!["country", "iso_code"]).ok()?;
        code.and_then(Country::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_germany("91.0.0.0", Some("DE"))]
    #[case::of_japan("1.0.16.0", Some("JP"))]
    #[case::of_the_united_states("8.8.8.0", Some("US"))]
    #[case::of_ipv6("2001:4860:4860::", Some("US"))]
    #[case::private("10.0.0.0", None)]
    #[case::of_this_machine("127.0.0.0", None)]
    #[case::for_documents("203.0.113.0", None)]
    fn a_network_is_in(#[case] network: &str, #[case] want: Option<&str>) {
        let got = Countries::default().of(network.parse().unwrap());
        assert_eq!(got.as_ref().map(Country::as_str), want);
    }

    #[rstest]
    #[case("de")]
    #[case("DEU")]
    #[case("EU")]
    #[case("ZZ")]
    fn what_is_no_country_is_none(#[case] code: &str) {
        assert_eq!(Country::parse(code), None);
    }

    /// A database of one network, 203.0.113.0/24, by the description of the format.
    fn database(code: &str) -> Vec<u8> {
        let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
        let network = u32::from_be_bytes([203, 0, 113, 0]);
        let nodes = 24u32;
        let mut all = Vec::new();
        for node in 0..nodes {
            // Behind the nodes come 16 bytes of zeros, then the data.
            let next = if node + 1 == nodes { nodes + 16 } else { node + 1 };
            let is_right = network >> (31 - node) & 1 == 1;
            for record in if is_right { [nodes, next] } else { [next, nodes] } {
                all.extend(&record.to_be_bytes()[1..]);
            }
        }
        all.extend([0; 16]);
        all.extend(
            [&[0xe1][..], &text("country"), &[0xe1], &text("iso_code"), &text(code)].concat(),
        );
        all.extend(b"\xab\xcd\xefMaxMind.com");
        all.push(0xe9);
        let numbers: [(&str, &[u8]); 5] = [
            ("node_count", &[0xc1, 24]),
            ("record_size", &[0xa1, 24]),
            ("ip_version", &[0xa1, 4]),
            ("binary_format_major_version", &[0xa1, 2]),
            ("binary_format_minor_version", &[0xa0]),
        ];
        for (name, value) in numbers {
            all.extend(text(name));
            all.extend(value);
        }
        all.extend([text("build_epoch"), vec![0x01, 0x02, 1]].concat());
        all.extend([text("database_type"), text("Test")].concat());
        all.extend([text("languages"), vec![0x00, 0x04]].concat());
        all.extend([text("description"), vec![0xe0]].concat());
        all
    }

    #[test]
    fn a_file_takes_the_place_of_what_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countries.mmdb");
        std::fs::write(&file, database("FR")).unwrap();
        let countries = Countries::open(&file.to_string_lossy()).unwrap();
        let of = |network: &str| countries.of(network.parse().unwrap());
        assert_eq!(of("203.0.113.0").as_ref().map(Country::as_str), Some("FR"));
        assert_eq!(of("8.8.8.0"), None, "the file does not know it");
        assert_eq!(of("2001:db8::"), None, "nor that kind of addresses");
    }

    #[test]
    fn a_file_that_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countries.mmdb");
        std::fs::write(&file, "DE,FR").unwrap();
        let error = Countries::open(&file.to_string_lossy()).unwrap_err().to_string();
        assert!(error.contains("country_file") && error.contains("countries.mmdb"), "{error}");
        assert!(Countries::open("/nowhere/at/all").is_err());
    }
}
