//! `GET /docs`: the OpenAPI document as a page to read, which needs no script and nothing from elsewhere.
//!
//! In: the document that is generated from the handlers. Out: HTML, made once.
//!
//! Deliberately elsewhere: what the document says (`router`, `openapi`).

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::dashboard::words::filters;
use crate::dashboard::{Shell, show};
use crate::router::openapi_document;

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    shell: Shell,
    title: String,
    version: String,
    about: Vec<Span>,
    tags: Vec<Tag>,
}

struct Tag {
    name: String,
    about: Vec<Span>,
    operations: Vec<Operation>,
}

struct Operation {
    /// Its place in the page.
    id: String,
    method: String,
    path: String,
    summary: Vec<Span>,
    about: Vec<Span>,
    /// What a key needs; nothing where no key is taken.
    scopes: Vec<String>,
    parameters: Vec<Parameter>,
    body: Option<Vec<Span>>,
    answers: Vec<Answer>,
}

struct Parameter {
    name: String,
    place: String,
    is_required: bool,
    about: Vec<Span>,
}

struct Answer {
    status: String,
    about: Vec<Span>,
}

/// A part of a text: plain, or between backticks.
struct Span {
    is_code: bool,
    text: String,
}

fn spans(text: &Value) -> Vec<Span> {
    let parts = text.as_str().unwrap_or_default().split('`').enumerate();
    parts
        .filter(|(_, text)| !text.is_empty())
        .map(|(at, text)| Span { is_code: at % 2 == 1, text: text.to_owned() })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn operation(method: &str, path: &str, said: &Value) -> Operation {
    let schemes = list(&said["security"]).flat_map(entries);
    let scopes = schemes.flat_map(|(_, scopes)| list(scopes)).map(text);
    let parameters = list(&said["parameters"]).map(|parameter| Parameter {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        is_required: parameter["required"] == true,
        about: spans(&parameter["description"]),
    });
    let answers = entries(&said["responses"]);
    let answers = answers.map(|(status, answer)| Answer {
        status: status.clone(),
        about: spans(&answer["description"]),
    });
    Operation {
        id: text(&said["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: spans(&said["summary"]),
        about: spans(&said["description"]),
        scopes: scopes.collect(),
        parameters: parameters.collect(),
        body: said["requestBody"].is_object().then(|| spans(&said["requestBody"]["description"])),
        answers: answers.collect(),
    }
}

fn page(document: &Value) -> Page {
    let all = || {
        entries(&document["paths"]).flat_map(|(path, operations)| {
            let operations = entries(operations).filter(|(_, said)| said["responses"].is_object());
            operations.map(move |(method, said)| (method, path, said))
        })
    };
    let tag = |tag: &Value| {
        let is_in = |said: &Value| list(&said["tags"]).any(|name| *name == tag["name"]);
        let inside = all().filter(|(_, _, said)| is_in(said));
        Tag {
            name: text(&tag["name"]),
            about: spans(&tag["description"]),
            operations: inside.map(|(method, path, said)| operation(method, path, said)).collect(),
        }
    };
    Page {
        shell: Shell::new(),
        title: text(&document["info"]["title"]),
        version: text(&document["info"]["version"]),
        about: spans(&document["info"]["description"]),
        tags: list(&document["tags"]).map(tag).collect(),
    }
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi_document()).unwrap_or_default();
    page(&document)
});

/// The page. It says nothing of any tenant, so it may be kept.
pub async fn show_page() -> Response {
    let mut response = show(StatusCode::OK, &*PAGE).into_response();
    let kept = HeaderValue::from_static("public, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_document_stands_on_the_page_once() {
        let document = serde_json::to_value(openapi_document()).unwrap();
        let of_document: usize = entries(&document["paths"])
            .map(|(_, path)| {
                entries(path).filter(|(_, said)| said["responses"].is_object()).count()
            })
            .sum();
        let of_page: Vec<_> = PAGE.tags.iter().flat_map(|tag| &tag.operations).collect();
        assert_eq!(
            of_page.len(),
            of_document,
            "an operation has a tag that the document does not list"
        );
        let ids: std::collections::HashSet<_> = of_page.iter().map(|one| &one.id).collect();
        assert_eq!(ids.len(), of_page.len(), "links lead to one place each");
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        let spans = spans(&Value::from("a `b` c"));
        let shown: Vec<_> = spans.iter().map(|span| (span.is_code, span.text.as_str())).collect();
        assert_eq!(shown, [(false, "a "), (true, "b"), (false, " c")]);
    }
}
