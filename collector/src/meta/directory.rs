//! The copy in memory that requests are answered from: everybody and everything that they name.
//!
//! In: what [`Meta::refresh`](super::Meta::refresh) read. Out: look-ups that wait for nothing.

use std::sync::Arc;

use hashbrown::HashMap;
use subtle::ConstantTimeEq;
use tallymark_store::Keep;

use super::access_keys::AccessKey;
use super::accounts::Account;
use super::organisations::Organisation;
use super::projects::Project;
use crate::access::{Principal, Role};
use crate::experiments::served::Served;
use crate::privacy;

/// Everybody and everything that requests name, as of one version of the database.
#[derive(Debug, Default)]
pub struct Directory {
    pub(super) organisations: HashMap<u32, Arc<Organisation>>,
    pub(super) accounts: HashMap<u32, Arc<Account>>,
    pub(super) roles: HashMap<(u32, u32), Role>,
    pub(super) projects: HashMap<u32, Arc<Project>>,
    pub(super) slugs: HashMap<String, u32>,
    pub(super) keys: HashMap<[u8; 32], AccessKey>,
    pub(super) keeps: HashMap<u32, Keep>,
    pub(super) served: HashMap<u32, Arc<Served>>,
}

impl Directory {
    /// The project of this slug.
    pub fn project(&self, slug: &str) -> Option<Arc<Project>> {
        self.slugs.get(slug).and_then(|id| self.projects.get(id)).cloned()
    }

    /// All projects, by slug.
    pub fn projects(&self) -> Vec<Arc<Project>> {
        let mut all: Vec<_> = self.projects.values().cloned().collect();
        all.sort_by(|a, b| a.slug.cmp(&b.slug));
        all
    }

    /// The time zone of a project.
    pub fn zone(&self, project: u32) -> Option<&str> {
        self.projects.get(&project).map(|project| project.tz.as_str())
    }

    /// How long a project's events are kept; its preset is a bound.
    pub fn keep(&self, project: u32) -> Keep {
        let keep = self.keeps.get(&project).cloned().unwrap_or_default();
        let settings = self.projects.get(&project).map(|project| &project.settings);
        privacy::bounded(keep, settings.and_then(privacy::days_max))
    }

    /// What a project's pages get of its experiments and flags; `None` when nothing is running.
    pub fn served(&self, project: u32) -> Option<Arc<Served>> {
        self.served.get(&project).cloned()
    }

    /// Whether a project has a key that works.
    pub fn has_key(&self, project: u32) -> bool {
        self.keys.values().any(|key| key.project == project)
    }

    /// The organisation of this slug.
    pub fn organisation(&self, slug: &str) -> Option<Arc<Organisation>> {
        self.organisations.values().find(|organisation| organisation.slug == slug).cloned()
    }

    /// All organisations, by slug.
    pub fn organisations(&self) -> Vec<Arc<Organisation>> {
        let mut all: Vec<_> = self.organisations.values().cloned().collect();
        all.sort_by(|a, b| a.slug.cmp(&b.slug));
        all
    }

    /// The account of this number.
    pub fn account(&self, id: u32) -> Option<Arc<Account>> {
        self.accounts.get(&id).cloned()
    }

    /// Whether somebody with this address has a part in an organisation.
    pub fn is_member(&self, email: &str, organisation: u32) -> bool {
        let members = self.roles.keys().filter(|(of, _)| *of == organisation);
        let mut accounts = members.filter_map(|(_, account)| self.accounts.get(account));
        accounts.any(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// The organisations somebody is a member of.
    pub fn organisations_of(&self, account: u32) -> Vec<u32> {
        let mine = self.roles.keys().filter(|(_, member)| *member == account);
        mine.map(|(organisation, _)| *organisation).collect()
    }

    /// What somebody is in an organisation; `None` when they have no part in it.
    pub fn role(&self, who: &Principal, organisation: u32) -> Option<Role> {
        match who {
            Principal::Operator => Some(Role::Owner),
            Principal::Person(account) => self.roles.get(&(organisation, account.id)).copied(),
            Principal::Key(_) => None,
        }
    }

    /// The key with this keyed hash and its project, if it works now; that it was used is noted.
    pub fn key(&self, mac: &[u8; 32], now_ms: i64) -> Option<(Arc<Project>, AccessKey)> {
        let key = self.keys.get(mac)?;
        if !bool::from(key.mac.ct_eq(mac)) || !key.works_at(now_ms) {
            return None;
        }
        key.used.note(now_ms);
        Some((self.projects.get(&key.project)?.clone(), key.clone()))
    }
}
