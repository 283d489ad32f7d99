//! How people sign in to the dashboard: with a password, with an account of elsewhere, or by the one-time link that the server
//! prints for whoever runs the machine; and how they come to have a password: by an invitation, and another one by a
//! link. Who has set up a second factor needs its code beside the password.
//!
//! In: forms. Out: a session cookie, whose keyed hash is stored with whose it is.
//!
//! Invariants: neither a password nor a token can be found in the database, and a thief of it cannot try
//! passwords without the pepper; who signs in wrongly is not told which part was wrong.
//!
//! Deliberately elsewhere: what a session may do (`access`), what is stored (`meta`).

pub mod attempts;
pub mod forgot;
pub mod handler;
pub mod links;
pub mod oidc;
pub(crate) mod pages;
pub mod password;
pub mod second;
pub mod session;
pub mod throttle;
pub mod totp;
