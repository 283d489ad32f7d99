//! What is kept of a dashboard.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Refused;
use crate::error::ApiError;
use crate::meta::saved::Saved;

/// Tiles of a dashboard.
pub const TILES_MAX: usize = 24;

/// A dashboard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it shows, in order.
    #[serde(default)]
    pub tiles: Vec<Tile>,
    /// The number in its link, while it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<u64>,
}

/// A saved question on a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// Its key.
    pub question: String,
    /// Whether it takes the whole width.
    #[serde(default)]
    pub wide: bool,
}

impl Board {
    /// What a saved dashboard holds.
    ///
    /// # Errors
    /// When it was written by something else.
    pub fn of(saved: &Saved) -> Result<Self, ApiError> {
        let body = Value::Object(saved.body.clone());
        serde_json::from_value(body).map_err(|error| ApiError::Internal(error.into()))
    }

    /// As it is saved.
    pub fn body(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(body)) => body,
            _ => unreachable!("a struct is an object"),
        }
    }

    /// That it can be shown.
    ///
    /// # Errors
    /// [`Refused::Wrong`].
    pub fn check(&self) -> Result<(), Refused> {
        if self.tiles.len() > TILES_MAX {
            return Err(Refused::Wrong("tiles", format!("at most {TILES_MAX}")));
        }
        self.tiles.iter().try_for_each(|tile| super::body::key(&tile.question))
    }
}
