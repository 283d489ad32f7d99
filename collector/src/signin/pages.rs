//! The pages of signing in.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::app::App;
use crate::dashboard::words::{filters, say, t};
use crate::dashboard::{Shell, show};
use crate::meta::invitations::Invitation;

/// Address and password.
#[derive(Template)]
#[template(path = "signin.html")]
struct SignIn<'a> {
    shell: Shell,
    email: &'a str,
    complaint: &'a str,
    has_mail: bool,
    /// What the button to accounts of elsewhere says.
    elsewhere: Option<String>,
}

/// The sign-in page. `complaint` says what was wrong with an attempt, or nothing.
pub fn sign_in(app: &App, status: StatusCode, email: &str, complaint: &str) -> Response {
    let has_mail = app.mailer.is_set();
    let elsewhere = app.oidc.as_ref();
    let elsewhere = elsewhere.map(|oidc| say("Sign in with {name}", &[("name", &oidc.name)]));
    show(status, &SignIn { shell: Shell::new(), email, complaint, has_mail, elsewhere })
}

/// For somebody who has forgotten their password.
#[derive(Template)]
#[template(path = "forgot.html")]
struct Forgot {
    shell: Shell,
    has_mail: bool,
    is_sent: bool,
}

/// The page of a forgotten password, before and after it was filled in.
pub fn forgot(app: &App, status: StatusCode, is_sent: bool) -> Response {
    show(status, &Forgot { shell: Shell::new(), has_mail: app.mailer.is_set(), is_sent })
}

/// The sign-in page for somebody who tried too often.
pub fn too_often(app: &App, email: &str, wait_s: u64) -> Response {
    let complaint = say(
        "Too many attempts from your network: try again in {n} seconds.",
        &[("n", &wait_s.to_string())],
    );
    let mut response = sign_in(app, StatusCode::TOO_MANY_REQUESTS, email, &complaint);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    response
}

/// The code of the second step.
#[derive(Template)]
#[template(path = "signin_code.html")]
struct Code<'a> {
    shell: Shell,
    ticket: &'a str,
    complaint: &'a str,
}

/// The second step of signing in, for whoever has this ticket.
pub fn code(status: StatusCode, ticket: &str, complaint: &str) -> Response {
    show(status, &Code { shell: Shell::new(), ticket, complaint })
}

/// Another password, by a link.
#[derive(Template)]
#[template(path = "password.html")]
struct NewPassword<'a> {
    shell: Shell,
    email: &'a str,
    token: &'a str,
    complaint: &'a str,
    chars_min: usize,
    new_password: String,
}

/// What a field for a new password says.
fn new_password_label() -> String {
    let chars_min = super::password::CHARS_MIN.to_string();
    say("A password of at least {n} characters", &[("n", &chars_min)])
}

/// The page of a link to another password.
pub fn new_password(status: StatusCode, email: &str, token: &str, complaint: &str) -> Response {
    let (chars_min, new_password) = (super::password::CHARS_MIN, new_password_label());
    let shell = Shell::new();
    show(status, &NewPassword { shell, email, token, complaint, chars_min, new_password })
}

/// Name and password of somebody who was invited.
#[derive(Template)]
#[template(path = "invitation.html")]
struct Accept<'a> {
    shell: Shell,
    heading: String,
    invited: String,
    email: &'a str,
    token: &'a str,
    /// They have a password already.
    known: bool,
    name: &'a str,
    complaint: &'a str,
    chars_min: usize,
    new_password: String,
}

/// What somebody who accepts an invitation sees.
pub struct Accepting<'a> {
    /// Into which organisation.
    pub organisation: &'a str,
    /// Which.
    pub invitation: &'a Invitation,
    /// Its token.
    pub token: &'a str,
    /// Whether they have a password already.
    pub known: bool,
    /// What they said their name is.
    pub name: &'a str,
}

/// The page of an invitation.
pub fn accept(status: StatusCode, who: &Accepting<'_>, complaint: &str) -> Response {
    let Accepting { organisation, invitation, token, known, name } = *who;
    let page = Accept {
        shell: Shell::new(),
        heading: say("Join {organisation}", &[("organisation", organisation)]),
        invited: say(
            "You are invited as {role}, with the address",
            &[("role", t(invitation.role.as_str()))],
        ),
        email: &invitation.email,
        token,
        known,
        name,
        complaint,
        chars_min: super::password::CHARS_MIN,
        new_password: new_password_label(),
    };
    show(status, &page)
}
