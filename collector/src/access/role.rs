//! What a member of an organisation is there.

use serde::{Deserialize, Serialize};

/// A role. Each may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at answers.
    Viewer,
    /// Saves cohorts and questions, runs experiments, takes events out.
    Analyst,
    /// Makes projects and keys, changes their settings, merges and erases persons, invites people.
    Admin,
    /// Decides who else is an owner.
    Owner,
}

impl Role {
    /// All roles, the one that may least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Admin, Self::Owner];

    /// Its name on the command line, in the database and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of this name.
    ///
    /// # Errors
    /// A sentence that lists the roles there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == name);
        found.ok_or_else(|| {
            format!("{name:?} is not a role; there are owner, admin, analyst and viewer")
        })
    }
}
