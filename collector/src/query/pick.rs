//! Which events of a time range somebody wants to see or take out: the same for lists and exports.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tallymark_analysis::filter::Condition;
use tallymark_store::Row;
use tallymark_store::row::flags;

use super::people::{Who, parse_person};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// As parameters say it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PickParams {
    pub(crate) event: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) person: Option<String>,
    /// A user as the customer knows it; hashed at once.
    pub(crate) user: Option<String>,
    #[serde(rename = "where")]
    pub(crate) condition: Option<String>,
}

/// Who sent an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A page, with the write key.
    Web,
    /// A server, with a secret key, or an import.
    Server,
}

impl Source {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "web" => Ok(Self::Web),
            "server" => Ok(Self::Server),
            _ => Err(ApiError::parameter("source", "must be `web` or `server`")),
        }
    }

    /// Of a row.
    pub fn of(row: &Row) -> Self {
        if row.flags & flags::SERVER != 0 { Self::Server } else { Self::Web }
    }
}

/// What is wanted.
#[derive(Debug)]
pub struct Pick {
    event: Option<String>,
    source: Option<Source>,
    condition: Condition,
    /// Only this person.
    pub person: Option<u64>,
    /// As the audit trail names it.
    pub filter: Value,
}

impl Default for Pick {
    fn default() -> Self {
        Self {
            event: None,
            source: None,
            condition: Condition::always(),
            person: None,
            filter: Value::Object(Map::new()),
        }
    }
}

impl PickParams {
    /// What they mean in a project.
    ///
    /// # Errors
    /// [`ApiError::ParameterInvalid`] names the one that is wrong.
    pub fn pick(self, app: &App, project: &Project) -> Result<Pick, ApiError> {
        let person = match (&self.person, &self.user) {
            (Some(_), Some(_)) => {
                return Err(ApiError::parameter("user", "name a person or a user, not both"));
            }
            (Some(person), None) => Some(parse_person("person", person)?),
            (None, Some(user)) => {
                let who = Who { user_id: Some(user.clone()), ..Who::default() };
                Some(who.id(app, project, "user")?)
            }
            (None, None) => None,
        };
        let source = self.source.as_deref().map(Source::parse).transpose()?;
        let condition =
            self.condition.as_deref().map_or_else(|| Ok(Condition::always()), parse_where)?;
        let mut filter = Map::new();
        let mut note = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                filter.insert(name.to_owned(), value);
            }
        };
        note("event", self.event.clone().map(Value::from));
        note("source", source.map(|source| serde_json::json!(source)));
        // Of whom is nothing for a trail that is kept for good.
        note("person", person.map(|_| Value::from("one")));
        note("where", self.condition.map(|_| Value::from("filtered")));
        let filter = Value::Object(filter);
        Ok(Pick { event: self.event, source, condition, person, filter })
    }
}

impl Pick {
    /// Whether a row is among them; [`Pick::person`] is asked of the store. What costs least is asked first.
    pub fn wants(&self, row: &Row) -> bool {
        self.source.is_none_or(|source| source == Source::of(row))
            && self.event.as_deref().is_none_or(|name| *name == *row.event)
            && self.condition.holds(row)
    }
}

fn parse_where(text: &str) -> Result<Condition, ApiError> {
    let value = serde_json::from_str(text).map_err(|error| {
        let example = r#"[{"prop":"plan","op":"eq","value":"team"}]"#;
        ApiError::parameter("where", format!("not JSON ({error}); write for example {example}"))
    })?;
    Condition::parse(&value).map_err(|error| ApiError::parameter("where", error.to_string()))
}
