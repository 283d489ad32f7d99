//! Codes that change every half minute: TOTP, RFC 6238 with HMAC-SHA-1, six digits and 30 seconds, which is what
//! every authenticator app computes; and codes to get back in without the app.
//!
//! Pure: secrets, codes and times in, codes and times out.

use hmac::{Hmac, KeyInit, Mac};
use qrcodegen::{QrCode, QrCodeEcc};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use url::form_urlencoded::byte_serialize;

use crate::folder::Pepper;

/// A step, in seconds.
const STEP_S: i64 = 30;
/// Steps before and after now whose codes are taken: clocks differ, and people type slowly.
const DRIFT: i64 = 1;
/// As RFC 4226 recommends, 160 bits.
const SECRET_BYTES: usize = 20;
/// Codes to get back in.
pub const RECOVERY_CODES: usize = 10;
/// Without letters and digits that look alike, and 32 of them, so that a byte picks one without favour.
const RECOVERY_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// Letters of a recovery code: 60 bits.
const RECOVERY_CHARS: usize = 12;

/// What an app and the server have in common.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// The secret of an account: made of the pepper, so a database alone does not have it.
    pub fn derive(pepper: &Pepper, account: u32, nonce: &[u8]) -> Self {
        let mac = pepper.mac("second-factor", &[&account.to_be_bytes(), nonce].concat());
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&mac[..SECRET_BYTES]);
        Self(secret)
    }

    /// As people type it into an app: base 32, in fours.
    pub fn words(&self) -> String {
        let letters = base32(&self.0);
        let fours = letters.as_bytes().chunks(4).map(String::from_utf8_lossy);
        fours.collect::<Vec<_>>().join(" ")
    }

    /// As apps read it from a picture.
    pub fn address(&self, issuer: &str, email: &str) -> String {
        let text = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        // Apps read a plus as a plus.
        let (issuer, email) = (text(issuer).replace('+', "%20"), text(email));
        format!("otpauth://totp/{issuer}:{email}?secret={}&issuer={issuer}", base32(&self.0))
    }

    /// The step whose code this is, if it is one of now and none of `last_step` or before.
    pub fn step_of(&self, code: &str, now_ms: i64, last_step: i64) -> Option<i64> {
        let digits: String = code.chars().filter(|char| !char.is_whitespace()).collect();
        let now = now_ms.div_euclid(1000) / STEP_S;
        (now - DRIFT..=now + DRIFT)
            .filter(|step| *step > last_step)
            .find(|step| self.code(*step, 6).as_bytes().ct_eq(digits.as_bytes()).into())
    }

    /// The code that an app shows at a moment.
    pub fn code_at(&self, now_ms: i64) -> String {
        self.code(now_ms.div_euclid(1000) / STEP_S, 6)
    }

    /// The code of a step, with leading zeros. RFC 4226, section 5.3.
    fn code(&self, step: i64, digits: usize) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&step.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        let at = usize::from(mac[mac.len() - 1] & 0xf);
        let word = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
        format!("{:0digits$}", u64::from(word) % 10u64.pow(digits as u32))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// RFC 4648, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |five: usize| (0..5).fold(0, |n, at| n * 2 + usize::from(bit(five * 5 + at)));
    (0..(bytes.len() * 8).div_ceil(5)).map(|five| char::from(ALPHABET[letter(five)])).collect()
}

/// A new code to get back in, as it is shown.
///
/// # Errors
/// When the system has no randomness.
pub fn recovery_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; RECOVERY_CHARS];
    getrandom::fill(&mut bytes)?;
    let letters = bytes.map(|byte| char::from(RECOVERY_ALPHABET[usize::from(byte % 32)]));
    let fours = letters.chunks(4).map(|four| four.iter().collect::<String>());
    Ok(fours.collect::<Vec<_>>().join("-"))
}

/// What is kept of a code to get back in, however it is typed.
pub fn recovery_mac(pepper: &Pepper, account: u32, code: &str) -> [u8; 32] {
    let letters = code.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|char| char.to_ascii_lowercase()).collect();
    pepper.mac("recovery-code", &[&account.to_be_bytes(), letters.as_bytes()].concat())
}

/// A picture of a text for cameras: its side in squares, and the dark squares as the path of an SVG, with the
/// quiet border of four that readers need.
pub fn picture(text: &str) -> Option<(i32, String)> {
    const BORDER: i32 = 4;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let dark = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
    let dark = dark.filter(|(x, y)| code.get_module(*x, *y));
    let path = dark.map(|(x, y)| format!("M{} {}h1v1h-1z", x + BORDER, y + BORDER)).collect();
    Some((size + 2 * BORDER, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RFC: Secret = Secret(*b"12345678901234567890");

    /// RFC 6238, appendix B, the rows of SHA-1.
    #[rstest]
    #[case(59, "94287082")]
    #[case(1_111_111_109, "07081804")]
    #[case(1_111_111_111, "14050471")]
    #[case(1_234_567_890, "89005924")]
    #[case(2_000_000_000, "69279037")]
    #[case(20_000_000_000, "65353130")]
    fn the_code_of_the_rfc_at(#[case] seconds: i64, #[case] want: &str) {
        assert_eq!(RFC.code(seconds / STEP_S, 8), want);
    }

    #[rstest]
    #[case::on_its_first_millisecond(30_000, "287082", 0, Some(1))]
    #[case::with_a_space(59_999, "287 082", 0, Some(1))]
    #[case::a_step_late(89_999, "287082", 0, Some(1))]
    #[case::two_steps_late(90_000, "287082", 0, None)]
    #[case::a_step_early(0, "287082", -1, Some(1))]
    #[case::a_second_time(59_000, "287082", 1, None)]
    #[case::another(59_000, "287083", 0, None)]
    #[case::nothing(59_000, "", 0, None)]
    fn a_code_is_taken(
        #[case] now_ms: i64,
        #[case] code: &str,
        #[case] last_step: i64,
        #[case] want: Option<i64>,
    ) {
        assert_eq!(RFC.step_of(code, now_ms, last_step), want);
    }

    /// RFC 4648, section 10.
    #[rstest]
    #[case("f", "MY")]
    #[case("fo", "MZXQ")]
    #[case("foo", "MZXW6")]
    #[case("foob", "MZXW6YQ")]
    #[case("fooba", "MZXW6YTB")]
    #[case("foobar", "MZXW6YTBOI")]
    fn letters_are_those_of_the_rfc(#[case] text: &str, #[case] want: &str) {
        assert_eq!(base32(text.as_bytes()), want);
    }

    #[test]
    fn an_app_reads_whose_code_it_is() {
        let want = "otpauth://totp/Our%20Tallymark:ann%40shop.example?\
                    secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Our%20Tallymark";
        assert_eq!(RFC.address("Our Tallymark", "ann@shop.example"), want);
        assert_eq!(RFC.words(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        let (side, path) = picture(want).unwrap();
        // The corner of a finder pattern stands right behind the border.
        assert!(side > 29 && path.starts_with("M4 4h1v1h-1z"), "{side}");
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed_and_by_one_account_only() {
        let pepper = Pepper::from_bytes([3; 32]);
        let code = recovery_code().unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (14, 2), "{code}");
        let mac = recovery_mac(&pepper, 1, &code);
        assert_eq!(recovery_mac(&pepper, 1, &code.to_uppercase().replace('-', " ")), mac);
        assert_ne!(recovery_mac(&pepper, 2, &code), mac);
        assert_ne!(recovery_code().unwrap(), code);
    }
}
