//! From sources to settings: flag, environment, file, default, in that order.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Config, SETTINGS, Setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A key of this file.
    File(PathBuf),
    /// An environment variable of this name.
    Env(String),
    /// A flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// What the three sources say.
#[derive(Debug, Default)]
pub struct Sources {
    /// `(key, text)` of the flags given.
    pub flags: Vec<(&'static str, String)>,
    /// `(name, text)` of the environment.
    pub env: Vec<(String, String)>,
    /// The file and its text.
    pub file: Option<(PathBuf, String)>,
}

/// Settings with their origins.
#[derive(Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// One origin per setting, in the order of [`SETTINGS`].
    pub origins: Vec<(&'static Setting, Origin)>,
}

/// Why settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is not TOML.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        detail: String,
    },
    /// The file has a key nobody knows.
    #[error("{path}: there is no setting {key:?}; `tallymark config` lists them")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value is not allowed.
    #[error("{key} ({origin}): {detail}")]
    Value {
        /// The setting.
        key: String,
        /// Where the value came from.
        origin: String,
        /// What is allowed.
        detail: String,
    },
}

/// Work out the settings.
///
/// # Errors
/// On the first value that is not allowed and on unknown keys in the file. Unknown variables in the
/// environment are ignored: other programs have theirs.
pub fn load(sources: &Sources) -> Result<Loaded, LoadError> {
    let file = match &sources.file {
        Some((path, text)) => read_file(path, text)?,
        None => Vec::new(),
    };
    let mut config = Config::default();
    let mut origins = Vec::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        let flag = sources.flags.iter().find(|(key, _)| *key == setting.key);
        let env = sources.env.iter().find(|(name, _)| *name == setting.env_name());
        let in_file = file.iter().find(|(key, _)| key == setting.key);
        let (text, origin) = match (flag, env, in_file, &sources.file) {
            (Some((_, text)), ..) => (Some(text), Origin::Flag(setting.flag_name())),
            (None, Some((name, text)), ..) => (Some(text), Origin::Env(name.clone())),
            (None, None, Some((_, text)), Some((path, _))) => {
                (Some(text), Origin::File(path.clone()))
            }
            _ => (None, Origin::Default),
        };
        if let Some(text) = text {
            config.set(setting.key, text).map_err(|detail| LoadError::Value {
                key: setting.key.to_owned(),
                origin: origin.to_string(),
                detail,
            })?;
        }
        origins.push((setting, origin));
    }
    Ok(Loaded { config, origins })
}

fn read_file(path: &Path, text: &str) -> Result<Vec<(String, String)>, LoadError> {
    let bad = |detail: String| LoadError::File { path: path.to_path_buf(), detail };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(e.to_string()))?;
    let mut values = Vec::with_capacity(table.len());
    for (key, value) in table {
        if Setting::find(&key).is_none() {
            return Err(LoadError::UnknownKey { path: path.to_path_buf(), key });
        }
        let text = plain_text(&value)
            .ok_or_else(|| bad(format!("{key} must be a text, a number or a list of texts")))?;
        values.push((key, text));
    }
    Ok(values)
}

fn plain_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            items.iter().map(plain_text).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sources(flag: Option<&str>, env: Option<&str>, file: Option<&str>) -> Sources {
        Sources {
            flags: flag.map(|text| ("query_threads", text.to_owned())).into_iter().collect(),
            env: env
                .map(|text| ("TALLYMARK_QUERY_THREADS".to_owned(), text.to_owned()))
                .into_iter()
                .collect(),
            file: file.map(|text| ("t.toml".into(), format!("query_threads = {text}"))),
        }
    }

    /// Shows S3-36.
    #[rstest]
    #[case::nothing_said(None, None, None, 2, "default")]
    #[case::file(None, None, Some("3"), 3, "file t.toml")]
    #[case::environment_beats_file(
        None,
        Some("4"),
        Some("3"),
        4,
        "environment TALLYMARK_QUERY_THREADS"
    )]
    #[case::flag_beats_all(Some("5"), Some("4"), Some("3"), 5, "flag --query-threads")]
    fn the_first_source_that_says_something_wins(
        #[case] flag: Option<&str>,
        #[case] env: Option<&str>,
        #[case] file: Option<&str>,
        #[case] want: u32,
        #[case] want_origin: &str,
    ) {
        let loaded = load(&sources(flag, env, file)).unwrap();
        let (_, origin) = loaded.origins.iter().find(|(s, _)| s.key == "query_threads").unwrap();
        assert_eq!((loaded.config.query_threads, origin.to_string().as_str()), (want, want_origin));
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error() {
        let sources = Sources {
            file: Some(("t.toml".into(), "qeury_threads = 3".into())),
            ..Sources::default()
        };
        let error = load(&sources).unwrap_err().to_string();
        assert_eq!(
            error,
            "t.toml: there is no setting \"qeury_threads\"; `tallymark config` lists them"
        );
    }

    #[test]
    fn a_bad_value_names_its_source() {
        let error = load(&sources(None, Some("many"), None)).unwrap_err().to_string();
        assert_eq!(
            error,
            "query_threads (environment TALLYMARK_QUERY_THREADS): \"many\" is not a whole number"
        );
    }

    #[test]
    fn a_list_in_the_file_is_a_list() {
        let text = "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]";
        let sources = Sources { file: Some(("t.toml".into(), text.into())), ..Sources::default() };
        assert_eq!(load(&sources).unwrap().config.trusted_proxies.0.len(), 2);
    }
}
