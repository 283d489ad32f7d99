//! The forms of files.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::config::SettingValue;

/// A form that events come and go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Apache Parquet.
    Parquet,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values, RFC 4180.
    Csv,
}

impl Form {
    /// As it is written in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// A form as a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormSetting(pub Form);

impl SettingValue for FormSetting {
    fn parse(text: &str) -> Result<Self, String> {
        let known = <Form as ValueEnum>::from_str(text.trim(), false);
        known.map(Self).map_err(|_| format!("{text:?} is none of parquet, jsonl and csv"))
    }
    fn show(&self) -> String {
        self.0.name().to_owned()
    }
}
