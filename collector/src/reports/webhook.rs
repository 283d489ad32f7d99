//! A report as a request: signed, so that whoever gets it knows where it comes from.
//!
//! In: an address and a body. Out: whether it was taken. Headers and signature are those of the Standard Webhooks
//! specification, for which there are libraries to check them: HMAC-SHA256 over id, time and body.
//!
//! Secrets are derived and not stored: the pepper makes one of the report's number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::http::StatusCode;

use super::Report;
use crate::folder::Pepper;
use crate::mail::all_causes;
use crate::outbound;

/// Why a request was not taken.
#[derive(Debug)]
pub struct NotTaken {
    /// In words.
    pub why: String,
    /// Whether it may be taken later.
    pub is_worth_another_try: bool,
}

/// The secret of a report, as receivers are given it.
pub fn secret(pepper: &Pepper, report: &Report) -> String {
    format!("whsec_{}", STANDARD.encode(key(pepper, report)))
}

fn key(pepper: &Pepper, report: &Report) -> [u8; 32] {
    pepper.mac("report-webhook", format!("{}\n{}", report.project, report.id).as_bytes())
}

/// The signature of a body under an id, at a time in Unix seconds.
fn signature(key: &[u8], id: &str, at_s: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{at_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Post it, once. Blocks.
///
/// # Errors
/// [`NotTaken`].
pub fn post(
    address: &str,
    private: outbound::Private,
    pepper: &Pepper,
    report: &Report,
    (id, at_s, body): (&str, i64, String),
) -> Result<(), NotTaken> {
    let unfit = |why: String| NotTaken { why, is_worth_another_try: false };
    let url = outbound::webhook_url(address, private).map_err(unfit)?;
    let sent = outbound::to_strangers(private)
        .post(url.as_str())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at_s.to_string())
        .header("webhook-signature", signature(&key(pepper, report), id, at_s, &body))
        .send(body);
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status();
            Err(NotTaken {
                why: format!("the receiver answered {}", status.as_u16()),
                is_worth_another_try: status.is_server_error()
                    || matches!(
                        status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    ),
            })
        }
        Err(error) => Err(NotTaken {
            why: format!("the receiver cannot be reached: {}", all_causes(&error)),
            is_worth_another_try: true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_what_the_libraries_of_others_expect() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at_s) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let got = signature(&key, id, at_s, "{\"test\": 2432232314}");
        assert_eq!(got, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
