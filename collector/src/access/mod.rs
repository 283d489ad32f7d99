//! Who may do what.
//!
//! In: a request. Out: a refusal, or the same request with [`Caller`] and, where the operation is one
//! on a project or an organisation, [`Tenant`] or [`Realm`].
//!
//! Invariants: what is not in the table of [`rules`] is refused; the tenant comes from the credential
//! only; what somebody may not see answers like what is not there.
//!
//! Deliberately elsewhere: what keys are (`keys`), how people sign in (`signin`), what handlers do
//! with what they were let through for.

mod caller;
mod guard;
mod role;
pub mod rules;

pub use caller::{Caller, Principal, Realm, Tenant};
pub use guard::{admit, from_our_pages, guard};
pub use role::Role;
