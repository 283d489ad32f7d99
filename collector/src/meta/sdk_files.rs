//! Files of the browser SDK as they were served: pages name them by build and hash, and go on doing so
//! after the collector was replaced.

use super::{Meta, MetaError};
use crate::sdk::File;

/// The table of files.
#[derive(Debug)]
pub struct SdkFiles<'a> {
    pub(super) meta: &'a Meta,
}

impl SdkFiles<'_> {
    /// Keep these files of a build. Repeating it changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep(&self, build: &str, files: &[File]) -> Result<(), MetaError> {
        let mut transaction = self.meta.pool.begin().await?;
        for file in files {
            sqlx::query(
                "INSERT INTO sdk_file (build, name, content) VALUES ($1, $2, $3) \
                 ON CONFLICT (build, name) DO NOTHING",
            )
            .bind(build)
            .bind(file.name)
            .bind(file.bytes)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// A kept file.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, build: &str, name: &str) -> Result<Option<Vec<u8>>, MetaError> {
        let content =
            sqlx::query_scalar("SELECT content FROM sdk_file WHERE build = $1 AND name = $2")
                .bind(build)
                .bind(name)
                .fetch_optional(&self.meta.pool)
                .await?;
        Ok(content)
    }
}
