//! The body of every refusal: `application/problem+json` (RFC 9457).

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused. `code` is permanent and what software decides on; `title` and
/// `detail` are for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`: the codes, not web addresses, tell problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The meaning of the status.
    pub title: String,
    /// The HTTP status, repeated for logs that keep only bodies.
    pub status: u16,
    /// The permanent name, snake case.
    pub code: String,
    /// What is wrong here, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem of this status and code; `detail` is what its `Display` says.
    pub fn new(status: u16, code: &str, detail: impl std::fmt::Display) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            title: title(status).to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// What RFC 9110 and its neighbours call a status; those we use.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ if status < 500 => "Client Error",
        _ => "Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Problem::new(422, "funnel_steps", "a funnel takes 2 to 20 steps");
        let json = serde_json::to_value(&problem).expect("plain data");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "about:blank", "title": "Unprocessable Content", "status": 422,
                "code": "funnel_steps", "detail": "a funnel takes 2 to 20 steps",
            })
        );
        let read: Problem = serde_json::from_value(json).expect("what we wrote");
        assert_eq!(read, problem);
    }
}
