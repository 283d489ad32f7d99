//! What the OpenAPI document says beyond the routes themselves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// Why a request was refused (RFC 9457). `code` is permanent, the texts are not.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the real type lives in the protocol crate")]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[schema(rename = "type", example = "about:blank")]
    kind: String,
    /// The meaning of the status.
    #[schema(example = "Unprocessable Content")]
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// The permanent name.
    #[schema(example = "funnel_steps")]
    code: String,
    /// What is wrong and what to do.
    detail: String,
}

/// The head of the document; routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tallymark",
        description = "Product analytics that a team runs itself: events in, questions answered."
    ),
    tags(
        (name = "ingest", description = "Send events"),
        (name = "questions", description = "Ask what people did"),
        (name = "events", description = "Look at events and take them out"),
        (name = "quarantine", description = "Events that were refused, and sending them again"),
        (name = "experiments", description = "Define experiments and flags, and serve them to pages"),
        (name = "saved", description = "Cohorts, questions and annotations under a name"),
        (name = "usage", description = "What a project used by day, and its quotas"),
        (name = "people", description = "Say who is who, and erase persons"),
        (name = "admin", description = "Organisations, members, projects, keys and the audit trail"),
        (name = "sdk", description = "The browser SDK, as pages load it"),
        (name = "service", description = "Health and metrics"),
        (name = "aliases", description = "The same under the names of other systems"),
    ),
    components(schemas(Problem)),
    modifiers(&SecretKey)
)]
pub struct Document;

struct SecretKey;

impl Modify for SecretKey {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A secret key, `tm_sk_…`, with the scope that the operation names"))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("secret_key", SecurityScheme::Http(scheme));
    }
}
