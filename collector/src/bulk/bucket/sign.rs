//! Signatures of requests to a bucket: AWS Signature Version 4, in headers.
//!
//! In: a request without its signature. Out: the header `Authorization`. It is a hundred lines of hashing; a crate for it would bring
//! XML and Base64 of its own, and sign addresses instead of what is sent.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tallymark_protocol::hashing::to_hex;

/// Whose requests they are.
#[derive(Clone)]
pub struct Signer {
    /// The name of the key.
    pub key_id: String,
    /// The key.
    pub secret: String,
    /// As the provider names it.
    pub region: String,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// With a port that is not the usual one.
    pub host: &'a str,
    /// As it is sent.
    pub path: &'a str,
    /// As it is sent: sorted, encoded, each with a `=`.
    pub query: &'a str,
    /// SHA-256 of the body, in hexadecimal.
    pub body_hash: &'a str,
    /// `20130524T000000Z`.
    pub at: &'a str,
}

impl Signer {
    /// The header `Authorization`. The request must carry `x-amz-content-sha256`, `x-amz-date` and these headers as well, whose names
    /// are in lower case.
    pub fn authorization(&self, request: &Request<'_>, more: &[(&str, &str)]) -> String {
        let Request { method, host, path, query, body_hash, at } = *request;
        let mut headers =
            vec![("host", host), ("x-amz-content-sha256", body_hash), ("x-amz-date", at)];
        headers.extend(more);
        headers.sort_unstable();
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}");
        let (day, _) = at.split_at(at.len().min(8));
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash(canonical.as_bytes()));
        let first = mac(format!("AWS4{}", self.secret).as_bytes(), day);
        let key = [self.region.as_str(), "s3", "aws4_request"]
            .iter()
            .fold(first, |key, part| mac(&key, part));
        let signature = to_hex(&mac(&key, &to_sign));
        let credential = format!("{}/{scope}", self.key_id);
        format!(
            "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
        )
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes).into())
}

/// A moment as signatures write it.
pub fn moment(now_ms: i64) -> String {
    let at = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Everything but letters, digits and `-._~` in percent.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let part = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(part).collect()
}

fn mac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer {
            key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        }
    }

    /// The examples of Amazon's "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
    #[test]
    fn signatures_are_those_of_the_published_examples() {
        let empty = hash(b"");
        let request = |method, path, query| Request {
            method,
            host: "examplebucket.s3.amazonaws.com",
            path,
            query,
            body_hash: &empty,
            at: "20130524T000000Z",
        };
        let signature = |request: &Request<'_>, more: &[(&str, &str)]| {
            let header = signer().authorization(request, more);
            header.rsplit_once("Signature=").unwrap().1.to_owned()
        };
        assert_eq!(
            signature(&request("GET", "/test.txt", ""), &[("range", "bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(
            signature(&request("GET", "/", "lifecycle="), &[]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature(&request("GET", "/", "max-keys=2&prefix=J"), &[]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn what_is_not_plain_is_encoded() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("a b/c+=ä"), "a%20b%2Fc%2B%3D%C3%A4");
        assert_eq!(moment(1_369_353_600_000), "20130524T000000Z");
    }
}
