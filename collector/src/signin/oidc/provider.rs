//! The provider: where it is asked, its keys, and the token that it gives for a code.
//!
//! In: the settings. Out: addresses and tokens. What the provider says of itself is kept for an hour; keys are fetched again when
//! a token names one that is not known, at most once a minute.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::Response;
use url::{Url, form_urlencoded};

use super::token::Keys;
use super::{Settings, Trouble};
use crate::outbound::{agent, trusted_url};

const KEPT_MS: i64 = 60 * 60 * 1000;
const KEYS_AGAIN_MS: i64 = 60 * 1000;
const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 1 << 20;

/// What a provider says of itself (OpenID Connect Discovery 1.0).
#[derive(Debug, Clone, Deserialize)]
pub struct Described {
    issuer: String,
    /// Where browsers go.
    pub authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// Whether it names itself where it sends people back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider.
#[derive(Debug, Default)]
pub struct Provider(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    described: Option<(i64, Arc<Described>)>,
    keys: Option<(i64, Arc<Keys>)>,
}

impl Provider {
    /// What it says of itself. Blocks.
    ///
    /// # Errors
    /// When it cannot be reached, or says something else than it should.
    pub fn described(&self, settings: &Settings, now_ms: i64) -> Result<Arc<Described>, Trouble> {
        if let Some((at_ms, described)) = &self.known().described
            && (*at_ms..*at_ms + KEPT_MS).contains(&now_ms)
        {
            return Ok(Arc::clone(described));
        }
        let issuer = settings.issuer.trim_end_matches('/');
        let described: Described = get(&format!("{issuer}/.well-known/openid-configuration"))?;
        if described.issuer != settings.issuer {
            let detail = format!(
                "it calls itself {:?}, the setting oidc_issuer is {:?}",
                described.issuer, settings.issuer
            );
            return Err(Trouble::Provider(detail));
        }
        for address in
            [&described.authorization_endpoint, &described.token_endpoint, &described.jwks_uri]
        {
            trusted_url(address).map_err(Trouble::Provider)?;
        }
        let described = Arc::new(described);
        self.known().described = Some((now_ms, Arc::clone(&described)));
        Ok(described)
    }

    /// Its keys; `again` when those that are known do not fit. Blocks.
    ///
    /// # Errors
    /// When it cannot be reached, or says something else than it should.
    pub fn keys(
        &self,
        described: &Described,
        again: bool,
        now_ms: i64,
    ) -> Result<Arc<Keys>, Trouble> {
        let for_ms = if again { KEYS_AGAIN_MS } else { KEPT_MS };
        if let Some((at_ms, keys)) = &self.known().keys
            && (*at_ms..*at_ms + for_ms).contains(&now_ms)
        {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(get(&described.jwks_uri)?);
        self.known().keys = Some((now_ms, Arc::clone(&keys)));
        Ok(keys)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The ID token for a code. Blocks.
///
/// # Errors
/// When the provider cannot be reached, or does not take the code.
pub fn exchange(
    described: &Described,
    settings: &Settings,
    code: &str,
    verifier: &str,
) -> Result<String, Trouble> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &settings.redirect)
        .append_pair("code_verifier", verifier);
    let mut request = agent()
        .post(&described.token_endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    let methods = &described.token_endpoint_auth_methods_supported;
    let takes = |method: &str| methods.iter().any(|known| known == method);
    match settings.client_secret.reveal() {
        None => {
            form.append_pair("client_id", &settings.client_id);
        }
        Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret);
        }
        Some(secret) => {
            let encoded =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&settings.client_id), encoded(secret));
            request = request.header("authorization", format!("Basic {}", BASE64.encode(pair)));
        }
    }
    let request = request.config().timeout_global(Some(TIMEOUT)).build();
    let answer = request.send(form.finish()).map_err(unreachable)?;
    #[derive(Deserialize)]
    struct Given {
        id_token: Option<String>,
    }
    let given: Given = read(answer, "its token endpoint")?;
    given.id_token.ok_or_else(|| Trouble::Provider("it gave no ID token".to_owned()))
}

/// Where to send a browser.
///
/// # Errors
/// When the address that the provider names is none.
pub fn way(described: &Described, parameters: &[(&str, &str)]) -> Result<String, Trouble> {
    let mut url = Url::parse(&described.authorization_endpoint)
        .map_err(|error| Trouble::Provider(error.to_string()))?;
    url.query_pairs_mut().extend_pairs(parameters);
    Ok(url.into())
}

fn get<T: DeserializeOwned>(address: &str) -> Result<T, Trouble> {
    let request = agent().get(address).config().timeout_global(Some(TIMEOUT)).build();
    read(request.call().map_err(unreachable)?, address)
}

fn unreachable(error: ureq::Error) -> Trouble {
    Trouble::Provider(error.to_string())
}

fn read<T: DeserializeOwned>(mut answer: Response<Body>, of: &str) -> Result<T, Trouble> {
    let status = answer.status();
    let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec();
    let bytes = bytes.map_err(unreachable)?;
    if !status.is_success() {
        // OAuth says what is wrong in one word; the rest of an answer is not for logs.
        #[derive(Deserialize)]
        struct Said {
            error: String,
        }
        let said = serde_json::from_slice(&bytes).map(|Said { error }| format!(" ({error:.40})"));
        return Err(Trouble::Provider(format!(
            "{of} answers {status}{}",
            said.unwrap_or_default()
        )));
    }
    serde_json::from_slice(&bytes)
        .map_err(|_| Trouble::Provider(format!("{of} answers something else than it should")))
}
