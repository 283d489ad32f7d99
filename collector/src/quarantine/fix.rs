//! From a refused event to a row, with a fix in between.
//!
//! In: what was kept of the event, and what to change. Out: the row it would have been, or why it is
//! still none. Person, time and dimensions are those of the first time, unless the fix says otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tallymark_protocol::batch::Batch;
use tallymark_protocol::codes::EventCode;
use tallymark_store::{Dim, Row};

use super::repo::Refused;
use crate::ingest::accept::{Sender, accept};
use crate::ingest::guard::Guard;
use crate::ingest::identity::{Realm, Trust};
use crate::ingest::quarantine::{ID_FIELDS, KEPT, Known};

/// What to change in refused events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Fields of the event with their new values.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// Fields to leave out.
    #[serde(default)]
    pub unset: BTreeSet<String>,
}

/// Why an event cannot be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// A permanent code.
    pub code: &'static str,
    /// A sentence.
    pub detail: &'static str,
}

impl From<EventCode> for Unfit {
    fn from(code: EventCode) -> Self {
        Self { code: code.as_str(), detail: code.detail() }
    }
}

const CUT: Unfit = Unfit {
    code: "not_whole",
    detail: "only a part of this event was kept; its sender has to send it again",
};

impl Fix {
    /// The row of a refused event after the fix.
    pub fn apply(
        &self,
        refused: &Refused,
        realm: &Realm<'_>,
        guard: Guard,
        received_ms: i64,
    ) -> Result<Row, Unfit> {
        let event = serde_json::from_str::<Map<String, Value>>(&refused.raw).map_err(|_| CUT)?;
        if event.contains_key("unreadable_bytes") && event.len() == 1 {
            return Err(CUT);
        }
        let known: Known = event
            .get(KEPT)
            .and_then(|known| serde_json::from_value(known.clone()).ok())
            .unwrap_or_default();
        let mut event = event;
        event.retain(|name, _| name != KEPT && !ID_FIELDS.contains(&&**name));
        event.retain(|name, _| !self.unset.contains(name));
        event.extend(self.set.clone());

        let names_somebody = ID_FIELDS.iter().any(|field| event.contains_key(*field));
        let names_a_time = self.set.contains_key("at");
        let who = known.who.filter(|_| !names_somebody).and_then(|who| {
            let number = |text: &str| u64::from_str_radix(text, 16).ok();
            Some((number(&who.person)?, number(&who.actor)?, who.flags))
        });
        // Whoever is known already is put in below; the visitor only stands in until then.
        let trust = if who.is_some() { Trust::Page } else { Trust::Server };
        let body = json!({ "sent_at": received_ms, "events": [event] }).to_string();
        let batch = Batch::parse(body.as_bytes()).map_err(|_| CUT)?;
        let accepted = accept(
            &batch,
            &Sender {
                realm: *realm,
                trust,
                received_ms,
                dims: Arc::default(),
                guard,
                visitor: &|| who.map_or(0, |(_, actor, _)| actor),
            },
        );
        if let Some(refused) = accepted.rejected.first() {
            return Err(refused.code.into());
        }
        let mut row = accepted.rows.into_iter().next().ok_or(CUT)?;
        if let Some((person, actor, flags)) = who {
            (row.person, row.actor, row.flags) = (person, actor, flags);
        }
        if let Some((ts_ms, claimed_ms)) = known.when.filter(|_| !names_a_time) {
            (row.ts_ms, row.claimed_ms) = (ts_ms, claimed_ms);
        }
        for (dim, place) in Dim::ALL.iter().zip(Arc::make_mut(&mut row.dims)) {
            // What was hidden in it is known again.
            if *dim != Dim::Guarded {
                *place = known.dims.get(dim.name()).map(|text| text.as_str().into());
            }
        }
        Ok(row)
    }
}
