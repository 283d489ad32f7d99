//! Which column becomes what.
//!
//! A column whose name is a field's becomes that field; one whose name is a built-in dimension
//! (`path`, `browser`, …) becomes that dimension; every other one becomes a property. `--map` says
//! otherwise: `field=column` takes a field from another column, `field==text` gives it the same text
//! in every row.

use std::str::FromStr;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tallymark_store::Dim;

/// What a column can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The event's id: a UUID, or any text that is unique to the event.
    Id,
    /// The event's name.
    Name,
    /// When it happened.
    At,
    /// Who did it: raw, or with `--hashed` the browser's hash.
    User,
    /// On which device: likewise.
    Device,
    /// A UUID, or any text or number that is unique to the session.
    Session,
    /// The device's own counter.
    Seq,
    /// A JSON object of properties.
    Props,
    /// Of an export: the stored person.
    StoredPerson,
    /// Of an export: the stored device.
    StoredActor,
    /// Of an export: whose pseudonyms these are.
    StoredRealm,
    /// Of an export: the page load.
    StoredWriter,
    /// Of an export: bits of the row.
    Flags,
    /// Of an export: when we got it.
    ReceivedAt,
    /// Of an export: what the client's clock said.
    ClaimedAt,
    /// A built-in dimension.
    Dim(Dim),
}

impl Field {
    /// Every field but the dimensions, with its name.
    pub const NAMED: [(&'static str, Self); 15] = [
        ("id", Self::Id),
        ("name", Self::Name),
        ("at", Self::At),
        ("user", Self::User),
        ("device", Self::Device),
        ("session", Self::Session),
        ("seq", Self::Seq),
        ("props", Self::Props),
        ("stored_person", Self::StoredPerson),
        ("stored_actor", Self::StoredActor),
        ("stored_realm", Self::StoredRealm),
        ("stored_writer", Self::StoredWriter),
        ("flags", Self::Flags),
        ("received_at", Self::ReceivedAt),
        ("claimed_at", Self::ClaimedAt),
    ];

    fn find(name: &str) -> Option<Self> {
        let named = Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        named.or_else(|| Dim::find(name).map(Self::Dim))
    }
}

/// Where a column's values go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into a field.
    Field(Field),
    /// Into the property of this name.
    Property(Box<str>),
}

/// One `field=column` or `field==text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapItem {
    field: String,
    source: MapSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MapSource {
    Column(String),
    Constant(String),
}

impl FromStr for MapItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, source) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not field=column, nor field==text"))?;
        let field = field.trim().to_owned();
        if Field::find(&field).is_none() {
            let fields: Vec<_> = Field::NAMED.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{field:?} is not a field; there are {} and the built-in properties",
                fields.join(", ")
            ));
        }
        let source = match source.strip_prefix('=') {
            Some(constant) => MapSource::Constant(constant.to_owned()),
            None if source.trim().is_empty() => return Err(format!("{text:?} names no column")),
            None => MapSource::Column(source.trim().to_owned()),
        };
        Ok(Self { field, source })
    }
}

/// The mapping of one import.
#[derive(Debug, Default)]
pub struct Mapping {
    columns: HashMap<String, Field>,
    /// Fields that the mapping takes from elsewhere: a column of that name is a property then.
    taken: Vec<Field>,
    /// Fields with the same text in every row.
    pub constants: Vec<(Field, String)>,
}

impl Mapping {
    /// From the items of `--map`.
    pub fn new(items: &[MapItem]) -> Self {
        let mut mapping = Self::default();
        for item in items {
            // Checked when the item was parsed.
            let Some(field) = Field::find(&item.field) else { continue };
            mapping.taken.push(field);
            match &item.source {
                MapSource::Column(column) => drop(mapping.columns.insert(column.clone(), field)),
                MapSource::Constant(text) => mapping.constants.push((field, text.clone())),
            }
        }
        mapping
    }

    /// Where a column goes.
    pub fn target(&self, column: &str) -> Target {
        if let Some(field) = self.columns.get(column) {
            return Target::Field(*field);
        }
        match Field::find(column).filter(|field| !self.taken.contains(field)) {
            Some(field) => Target::Field(field),
            None => Target::Property(column.into()),
        }
    }

    /// The columns that `--map` names and `present` has not.
    pub fn missing<'a>(&'a self, present: &[String]) -> Vec<&'a str> {
        let names = self.columns.keys().map(String::as_str);
        names.filter(|name| !present.iter().any(|column| column == name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(items: &[&str]) -> Mapping {
        Mapping::new(&items.iter().map(|item| item.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn columns_go_by_their_names() {
        let mapping = mapping(&[]);
        assert_eq!(mapping.target("user"), Target::Field(Field::User));
        assert_eq!(mapping.target("path"), Target::Field(Field::Dim(Dim::Path)));
        assert_eq!(mapping.target("amount"), Target::Property("amount".into()));
    }

    #[test]
    fn a_mapped_field_comes_from_its_column_only() {
        let mapping = mapping(&["user=customer", "name==purchase"]);
        assert_eq!(mapping.target("customer"), Target::Field(Field::User));
        assert_eq!(mapping.target("user"), Target::Property("user".into()));
        assert_eq!(mapping.constants, [(Field::Name, "purchase".to_owned())]);
        assert_eq!(mapping.missing(&["user".to_owned()]), ["customer"]);
    }

    #[test]
    fn a_mapping_that_makes_no_sense_says_what_does() {
        let error = "who=customer".parse::<MapItem>().unwrap_err();
        assert!(error.contains("\"who\" is not a field; there are id, name"), "{error}");
        assert!("user=".parse::<MapItem>().is_err());
        assert!("user".parse::<MapItem>().is_err());
    }
}
