//! Acts of the audit trail in the reader's words.
//!
//! In: what the trail has of an act, made for programs. Out: the same for people. What has no words here is shown as it is.

use super::words::{n, say, t};

/// What is done to something, and what that is called.
const ACTIONS: [(&str, &str); 25] = [
    ("change_password", n("change password")),
    ("concluded", n("concluded")),
    ("create", n("create")),
    ("drop_second_factor", n("drop second factor")),
    ("erase", n("erase")),
    ("export", n("export")),
    ("forgot", n("forgot")),
    ("import", n("import")),
    ("invite", n("invite")),
    ("join", n("join")),
    ("merge", n("merge")),
    ("paused", n("paused")),
    ("remove", n("remove")),
    ("report", n("report")),
    ("reset", n("reset")),
    ("resubmit", n("resubmit")),
    ("revoke", n("revoke")),
    ("rollup", n("rollup")),
    ("rotate", n("rotate")),
    ("running", n("running")),
    ("second_factor", n("second factor")),
    ("sign_in", n("sign in")),
    ("undo", n("undo")),
    ("update", n("update")),
    ("withdraw", n("withdraw")),
];

/// What was done.
pub fn action(name: &str) -> String {
    let known = ACTIONS.iter().find(|(known, _)| *known == name);
    known.map_or_else(|| name.replace('_', " "), |(_, words)| t(words).to_owned())
}

/// Who did it: an address, or what is nobody.
pub fn actor(name: &str) -> String {
    match (name, name.strip_prefix("key ")) {
        ("console", _) => t("console").to_owned(),
        ("command line", _) => t("command line").to_owned(),
        (_, Some(id)) => say("key {id}", &[("id", id)]),
        _ => name.to_owned(),
    }
}
