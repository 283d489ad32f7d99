//! Files out of a form, onto the disk, and how they are to be read.
//!
//! In: a form with files. Out: its fields, and files that have no name on the disk: whatever happens to us, nothing of
//! them stays.
//!
//! Invariant: a form that is refused is read to its end all the same, up to twice what is taken, because browsers show
//! the answer only then.

use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use axum::extract::Multipart;
use axum::extract::multipart::Field;
use clap::ValueEnum as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::app::App;
use crate::bulk::at::AtFormat;
use crate::bulk::csv_in::{CsvOptions, Delimiter};
use crate::bulk::form::Form;
use crate::bulk::import::{How, Source};
use crate::bulk::mapping::MapItem;
use crate::dashboard::form::Fields;
use crate::dashboard::words::n;
use crate::error::ApiError;

/// How times may be written.
pub const AT_FORMATS: &[(&str, &str)] = &[
    ("ms", n("Unix milliseconds")),
    ("s", n("Unix seconds")),
    ("date", n("dates: 2026-09-01")),
    ("rfc3339", n("instants: 2026-09-01T12:00:00Z")),
];
/// What may part columns.
pub const DELIMITERS: &[(&str, &str)] = &[
    (";", n("a semicolon")),
    ("tab", n("a tab")),
    ("|", n("a bar")),
    ("whitespace", n("white space")),
];

/// Files of a form.
const FILES_MAX: usize = 100;
/// Bytes of all that is no file.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes after which is looked whether the disk has room.
const LOOK_BYTES: u64 = 8 << 20;
/// Characters of a file's name.
const NAME_CHARS_MAX: usize = 200;

/// A form that was read.
pub struct Received {
    pub fields: Fields,
    pub sources: Vec<Source>,
}

/// Read a form.
///
/// # Errors
/// When it breaks off, is too large, or the disk has no room.
pub async fn receive(app: &App, mut form: Multipart) -> Result<Received, ApiError> {
    let mut reader = Reader { app, bytes: 0, looked: 0, text: 0, refused: None };
    let (mut fields, mut sources) = (Vec::new(), Vec::new());
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            fields.push((name, reader.text(&mut field).await?));
            continue;
        };
        // A form without a file has one with no name.
        let file = reader.file(&mut field).await?;
        if file_name.is_empty() {
            continue;
        }
        if sources.len() == FILES_MAX {
            reader.refuse(format!("at most {FILES_MAX} at once"));
        }
        let last = Path::new(&file_name).file_name().unwrap_or_default().to_string_lossy();
        let last: String = last.chars().take(NAME_CHARS_MAX).collect();
        sources.extend(file.map(|file| Source { name: Arc::from(Path::new(&last)), file }));
    }
    match reader.refused {
        Some(refused) => Err(refused),
        None => Ok(Received { fields: Fields::from(fields), sources }),
    }
}

fn broken(error: axum::extract::multipart::MultipartError) -> ApiError {
    tracing::debug!(%error, "a form broke off");
    ApiError::BodyBroken
}

struct Reader<'a> {
    app: &'a App,
    /// Of files, and how many of them were there at the last look.
    bytes: u64,
    looked: u64,
    /// Of the rest.
    text: usize,
    /// Why nothing more is kept.
    refused: Option<ApiError>,
}

impl Reader<'_> {
    fn refuse(&mut self, detail: String) {
        self.refused.get_or_insert(ApiError::parameter("file", detail));
    }

    async fn text(&mut self, field: &mut Field<'_>) -> Result<String, ApiError> {
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            self.text += chunk.len();
            if self.text > TEXT_BYTES_MAX {
                return Err(ApiError::BodyTooLarge { limit: TEXT_BYTES_MAX });
            }
            text.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The file, unless something was refused.
    async fn file(&mut self, field: &mut Field<'_>) -> Result<Option<std::fs::File>, ApiError> {
        let internal = |error: std::io::Error| ApiError::Internal(error.into());
        let limit = self.app.config.import_bytes;
        let mut file = match self.refused {
            Some(_) => None,
            None => {
                let file = tempfile::tempfile_in(self.app.folder.root()).map_err(internal)?;
                Some(File::from_std(file))
            }
        };
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            self.bytes += chunk.len() as u64;
            if self.bytes > limit {
                self.refuse(format!(
                    "larger than {limit} bytes; `tallymark import` takes larger files, and so does a larger `import_bytes`"
                ));
            }
            if self.bytes > limit.saturating_mul(2) {
                return Err(ApiError::BodyBroken);
            }
            if self.refused.is_none() && self.bytes >= self.looked + LOOK_BYTES {
                self.looked = self.bytes;
                if !self.app.store.has_room() {
                    self.refuse("the disk has no room for it".to_owned());
                }
            }
            match (&self.refused, &mut file) {
                (None, Some(file)) => {
                    if let Err(error) = file.write_all(&chunk).await {
                        self.refuse(format!("cannot be kept: {error}"));
                    }
                }
                _ => file = None,
            }
        }
        let Some(mut file) = file else { return Ok(None) };
        file.flush().await.map_err(internal)?;
        let mut file = file.into_std().await;
        file.seek(SeekFrom::Start(0)).map_err(internal)?;
        Ok(Some(file))
    }
}

/// How the files are to be read.
///
/// # Errors
/// Which field cannot be used, and why.
pub fn how(fields: &Fields, sources: &[Source]) -> Result<How, ApiError> {
    let Some(first) = sources.first() else {
        return Err(ApiError::parameter("file", "choose a file"));
    };
    let ending = first.name.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let form = match fields.find("format") {
        Some(name) => <Form as clap::ValueEnum>::from_str(name, true).ok(),
        None => match &*ending {
            "csv" | "tsv" | "txt" => Some(Form::Csv),
            "jsonl" | "ndjson" | "json" => Some(Form::Jsonl),
            "parquet" => Some(Form::Parquet),
            _ => None,
        },
    };
    let form = form.ok_or_else(|| {
        ApiError::parameter("format", "the file's name does not tell its form; choose one")
    })?;
    let map = fields.get("map").split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    let map = map.map(str::parse::<MapItem>).collect::<Result<_, _>>();
    let delimiter = match fields.find("delimiter") {
        Some(text) => text.parse::<Delimiter>(),
        None if ending == "tsv" => Ok(Delimiter::Byte(b'\t')),
        None => Ok(CsvOptions::default().delimiter),
    };
    let columns = fields.get("columns").split(',').map(str::trim);
    let columns: Vec<String> = columns.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let at_format = match fields.find("at_format") {
        Some(name) => AtFormat::from_str(name, true),
        None => Ok(AtFormat::Auto),
    };
    Ok(How {
        form,
        map: map.map_err(|detail| ApiError::parameter("map", detail))?,
        hashed: fields.find("hashed").is_some(),
        at_format: at_format.map_err(|detail| ApiError::parameter("at_format", detail))?,
        csv: CsvOptions {
            delimiter: delimiter.map_err(|detail| ApiError::parameter("delimiter", detail))?,
            header: columns.is_empty(),
            columns,
        },
    })
}
