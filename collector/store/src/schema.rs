//! What was seen: event names, their properties, how often, of which types, and when last.
//!
//! In: rows, counted per flush as [`SchemaDelta`]s. Out: a [`Schema`], the sum of deltas.
//!
//! Invariant: adding is commutative, so the schema does not depend on where a flush was.

use std::collections::BTreeMap;

/// Everything seen in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// By event name.
    pub events: BTreeMap<String, EventSchema>,
}

/// One event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSchema {
    /// Rows of this name.
    pub count: u64,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
    /// By property name, top level only.
    pub properties: BTreeMap<String, PropertySchema>,
}

/// One property of one event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertySchema {
    /// How often, by type.
    pub types: TypeCounts,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
}

/// How often a property had a value of each type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TypeCounts {
    /// JSON strings.
    pub texts: u64,
    /// JSON numbers.
    pub numbers: u64,
    /// `true` and `false`.
    pub bools: u64,
    /// Objects, arrays and nulls.
    pub others: u64,
}

/// What one flush adds: one row per event name, and one per event name and property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDelta {
    /// The tenant.
    pub project: u32,
    /// Event name.
    pub event: String,
    /// Property name; `None` in the row of the event itself.
    pub property: Option<String>,
    /// Rows that are counted here.
    pub count: u64,
    /// Their types; all zero in the row of the event itself.
    pub types: TypeCounts,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
}

impl Schema {
    /// Add what a flush saw. The caller sees to the project.
    pub fn add(&mut self, delta: &SchemaDelta) {
        let event = self.events.entry(delta.event.clone()).or_insert_with(|| EventSchema {
            count: 0,
            last_ms: i64::MIN,
            properties: BTreeMap::new(),
        });
        let Some(property) = &delta.property else {
            event.count += delta.count;
            event.last_ms = event.last_ms.max(delta.last_ms);
            return;
        };
        let property = event.properties.entry(property.clone()).or_insert_with(|| PropertySchema {
            types: TypeCounts::default(),
            last_ms: i64::MIN,
        });
        property.types.add(&delta.types);
        property.last_ms = property.last_ms.max(delta.last_ms);
    }
}

impl TypeCounts {
    /// Add the counts of another part.
    pub fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.numbers += other.numbers;
        self.bools += other.bools;
        self.others += other.others;
    }

    /// Values of any type.
    pub fn total(&self) -> u64 {
        self.texts + self.numbers + self.bools + self.others
    }
}
