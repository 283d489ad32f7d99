//! Whether an ID token is to be believed (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! In: the token, the provider's keys, and what was asked for. Out: whom it is about, or [`Refused`].
//!
//! Invariants: the key decides which algorithms its signatures may have, never the token alone, and there is none without a
//! signature; a token is for us, for this attempt, and of now. Signatures are checked by ring, which TLS needs anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use subtle::ConstantTimeEq;

/// How far the provider's clock may be from ours, in seconds.
pub const LEEWAY_S: i64 = 60;

/// What a token must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who issues it.
    pub issuer: &'a str,
    /// Whom it is for: us.
    pub client_id: &'a str,
    /// Of this attempt.
    pub nonce: &'a str,
    /// Unix seconds.
    pub now_s: i64,
}

/// Whom a token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// Whom the provider means, for ever: `sub`.
    pub subject: String,
    /// Their address, which the provider has checked.
    pub email: String,
    /// Their name, if the provider says it.
    pub name: String,
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not three parts of Base64 with JSON in it.
    #[error("it is not a signed token")]
    Form,
    /// `none`, a keyed hash, or nothing we know.
    #[error("it is signed in a way that is not accepted")]
    Algorithm,
    /// No key of the provider fits.
    #[error("no key of the provider fits it")]
    Key,
    /// Somebody else wrote or changed it.
    #[error("its signature is wrong")]
    Signature,
    /// Somebody else issued it.
    #[error("another provider issued it")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another application")]
    Audience,
    /// It is of another attempt.
    #[error("it belongs to another attempt to sign in")]
    Nonce,
    /// It is over, or not yet begun.
    #[error("it is not valid now; are both clocks right?")]
    Time,
    /// It does not say whom it means.
    #[error("it does not say whom it means (sub)")]
    NoSubject,
    /// There is no address in it.
    #[error("it names no e-mail address: the provider has to give the scope email")]
    NoEmail,
    /// The provider does not vouch for the address.
    #[error("the provider does not say that the e-mail address was checked (email_verified)")]
    Unverified,
}

/// The keys of a provider (RFC 7517).
#[derive(Debug, Clone, Deserialize)]
pub struct Keys {
    keys: Vec<Value>,
}

/// A key that can check signatures. Others of the set are left out.
#[derive(Debug, Clone, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    aud: Value,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
}

/// Check a token. [`Refused::Key`] may mean that the provider has newer keys.
///
/// # Errors
/// [`Refused`].
pub fn check(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Somebody, Refused> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Form)?;
    let header: Header = part(header)?;
    if header.crit.is_some() {
        return Err(Refused::Algorithm);
    }
    let scheme = Scheme::of(&header.alg).ok_or(Refused::Algorithm)?;
    let signature = BASE64.decode(signature).map_err(|_| Refused::Form)?;
    let known = keys.keys.iter().filter_map(|key| Key::deserialize(key).ok());
    let fitting: Vec<Key> = known.filter(|key| fits(key, &header, scheme)).collect();
    if fitting.is_empty() {
        return Err(Refused::Key);
    }
    let is_signed = |key: &Key| scheme.verifies(key, signed.as_bytes(), &signature) == Some(true);
    if !fitting.iter().any(is_signed) {
        return Err(Refused::Signature);
    }
    believe(part(claims)?, expected)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Refused> {
    let bytes = BASE64.decode(text).map_err(|_| Refused::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Form)
}

fn fits(key: &Key, header: &Header, scheme: Scheme) -> bool {
    let (kty, crv) = scheme.key_type();
    key.kty == kty
        && (crv.is_none() || key.crv.as_deref() == crv)
        && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && key.alg.as_ref().is_none_or(|alg| *alg == header.alg)
        && header.kid.as_ref().is_none_or(|kid| key.kid.as_ref().is_none_or(|own| own == kid))
}

fn believe(claims: Claims, expected: &Expected<'_>) -> Result<Somebody, Refused> {
    if claims.iss != expected.issuer {
        return Err(Refused::Issuer);
    }
    let (is_for_us, is_for_others) = match &claims.aud {
        Value::String(one) => (one == expected.client_id, false),
        Value::Array(all) => (all.iter().any(|one| one == expected.client_id), all.len() > 1),
        _ => (false, false),
    };
    // Among several, the party that asked for it is named.
    let azp_is_us = claims.azp.as_ref().map(|azp| azp == expected.client_id);
    if !is_for_us || !azp_is_us.unwrap_or(!is_for_others) {
        return Err(Refused::Audience);
    }
    let (now, leeway) = (expected.now_s as f64, LEEWAY_S as f64);
    let begun = claims.iat <= now + leeway && claims.nbf.is_none_or(|nbf| nbf <= now + leeway);
    if !begun || now >= claims.exp + leeway {
        return Err(Refused::Time);
    }
    let nonce = claims.nonce.unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Refused::Nonce);
    }
    // At most 255 characters (OpenID Connect Core 1.0, section 2).
    let subject = claims.sub.filter(|sub| (1..=255).contains(&sub.len()));
    let subject = subject.ok_or(Refused::NoSubject)?;
    let email = claims.email.filter(|email| !email.is_empty()).ok_or(Refused::NoEmail)?;
    // A few providers write it as a text.
    let is_verified = claims.email_verified.is_some_and(|said| said == true || said == "true");
    match is_verified {
        true => Ok(Somebody { subject, email, name: claims.name.unwrap_or_default() }),
        false => Err(Refused::Unverified),
    }
}

/// A way of signing (RFC 7518, section 3.1, and RFC 8037).
#[derive(Clone, Copy)]
enum Scheme {
    Rsa(&'static RsaParameters),
    Curve(&'static str, &'static dyn VerificationAlgorithm),
    Edwards,
}

impl Scheme {
    fn of(alg: &str) -> Option<Self> {
        Some(match alg {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve("P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Curve("P-384", &ECDSA_P384_SHA384_FIXED),
            "EdDSA" => Self::Edwards,
            _ => return None,
        })
    }

    const fn key_type(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Rsa(_) => ("RSA", None),
            Self::Curve(curve, _) => ("EC", Some(curve)),
            Self::Edwards => ("OKP", Some("Ed25519")),
        }
    }

    /// `None` when a part of the key is missing or no Base64.
    fn verifies(self, key: &Key, message: &[u8], signature: &[u8]) -> Option<bool> {
        let bytes = |part: &Option<String>| BASE64.decode(part.as_ref()?).ok();
        Some(match self {
            Self::Rsa(parameters) => {
                let key = RsaPublicKeyComponents { n: bytes(&key.n)?, e: bytes(&key.e)? };
                key.verify(parameters, message, signature).is_ok()
            }
            Self::Curve(_, algorithm) => {
                let point = [&[4][..], &bytes(&key.x)?, &bytes(&key.y)?].concat();
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            Self::Edwards => {
                UnparsedPublicKey::new(&ED25519, bytes(&key.x)?).verify(message, signature).is_ok()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const NOW_S: i64 = 1_795_350_660;

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://login.test",
            client_id: "tallymark",
            nonce: "n-0S6_WzA2Mj",
            now_s: NOW_S,
        }
    }

    fn vectors() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/oidc.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn keys(vectors: &Value) -> Keys {
        serde_json::from_value(vectors["keys"].clone()).unwrap()
    }

    #[test]
    fn what_the_provider_signed_is_believed_until_one_character_of_it_changes() {
        let vectors = vectors();
        let keys = keys(&vectors);
        let all = vectors["right"].as_array().unwrap();
        assert_eq!(all.len(), 11);
        for right in all {
            let token = right["token"].as_str().unwrap();
            let somebody = check(token, &keys, &expected()).unwrap();
            let (subject, email) = ("248289761001".into(), "Ann@shop.example".into());
            assert_eq!(somebody, Somebody { subject, email, name: "Ann".into() });
            // Of the last character, some bits are no bits of the signature.
            for at in (0..token.len() - 1).step_by(7) {
                let mut other = token.as_bytes().to_vec();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                assert!(check(&other, &keys, &expected()).is_err(), "{} at {at}", right["alg"]);
            }
        }
    }

    #[test]
    fn what_somebody_else_made_is_refused() {
        let vectors = vectors();
        let keys = keys(&vectors);
        let all = vectors["refused"].as_array().unwrap();
        assert_eq!(all.len(), 18);
        for refused in all {
            let got = check(refused["token"].as_str().unwrap(), &keys, &expected()).unwrap_err();
            let why = format!("{got:?}").to_lowercase();
            assert_eq!(why, refused["why"], "{}", refused["what"]);
        }
    }

    #[rstest]
    #[case::as_it_is(json!({}), Ok(()))]
    #[case::another_issuer(json!({ "iss": "https://login.test/" }), Err(Refused::Issuer))]
    #[case::another_application(json!({ "aud": "shop" }), Err(Refused::Audience))]
    #[case::no_application(json!({ "aud": 7 }), Err(Refused::Audience))]
    #[case::a_list_of_us(json!({ "aud": ["tallymark"] }), Ok(()))]
    #[case::among_others(json!({ "aud": ["tallymark", "shop"] }), Err(Refused::Audience))]
    #[case::among_others_and_ours(json!({ "aud": ["tallymark", "shop"], "azp": "tallymark" }), Ok(()))]
    #[case::asked_by_another(json!({ "azp": "shop" }), Err(Refused::Audience))]
    #[case::another_attempt(json!({ "nonce": "n-0S6_WzA2Mk" }), Err(Refused::Nonce))]
    #[case::no_attempt(json!({ "nonce": null }), Err(Refused::Nonce))]
    #[case::just_over(json!({ "exp": NOW_S - LEEWAY_S }), Err(Refused::Time))]
    #[case::over_within_the_leeway(json!({ "exp": NOW_S - LEEWAY_S + 1 }), Ok(()))]
    #[case::issued_later(json!({ "iat": NOW_S + LEEWAY_S + 1 }), Err(Refused::Time))]
    #[case::issued_later_within_the_leeway(json!({ "iat": NOW_S + LEEWAY_S }), Ok(()))]
    #[case::not_yet(json!({ "nbf": NOW_S + LEEWAY_S + 1 }), Err(Refused::Time))]
    #[case::soon_enough(json!({ "nbf": NOW_S + LEEWAY_S }), Ok(()))]
    #[case::no_address(json!({ "email": null }), Err(Refused::NoEmail))]
    #[case::an_empty_address(json!({ "email": "" }), Err(Refused::NoEmail))]
    #[case::unchecked(json!({ "email_verified": false }), Err(Refused::Unverified))]
    #[case::not_said(json!({ "email_verified": null }), Err(Refused::Unverified))]
    #[case::said_as_a_text(json!({ "email_verified": "true" }), Ok(()))]
    #[case::denied_as_a_text(json!({ "email_verified": "false" }), Err(Refused::Unverified))]
    #[case::a_number(json!({ "email_verified": 1 }), Err(Refused::Unverified))]
    fn claims_are_for_us_for_this_attempt_and_of_now(
        #[case] changed: Value,
        #[case] want: Result<(), Refused>,
    ) {
        let mut claims = vectors()["claims"].clone();
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let claims = serde_json::from_value(claims).unwrap();
        assert_eq!(believe(claims, &expected()).map(|_| ()), want);
    }
}
