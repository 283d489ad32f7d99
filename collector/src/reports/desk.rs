//! Setting reports up, and taking them back.

use super::{Every, Plan, Report, Way};
use crate::app::App;
use crate::error::ApiError;
use crate::mail;
use crate::meta::MetaError;
use crate::meta::accounts;
use crate::meta::audit::Deed;
use crate::meta::projects::Project;
use crate::outbound::{self, Private};

/// Addresses of one report, and reports of a project: whoever sets them up sends mails in the operator's name.
const RECIPIENTS_MAX: usize = 20;
const REPORTS_MAX: usize = 50;

/// Why a report is not set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such report.
    #[error("this dashboard has no such report any more")]
    Unknown,
    /// Something that cannot be used.
    #[error("{0}")]
    Wrong(String),
    /// Too many.
    #[error("a project has at most {REPORTS_MAX} reports")]
    Full,
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Unknown => (404, "report_unknown"),
            Self::Wrong(_) => (422, "report_invalid"),
            Self::Full => (422, "reports_full"),
            Self::Meta(_) => (500, "internal"),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            refused => Self::Report(refused),
        }
    }
}

/// What was typed.
#[derive(Debug)]
pub struct Typed<'a> {
    /// How often.
    pub every: &'a str,
    /// The hour of the day.
    pub hour: &'a str,
    /// The way.
    pub way: &'a str,
    /// Addresses with spaces, commas or lines between them, or one of a webhook.
    pub to: &'a str,
}

/// Somebody at work on the reports of a dashboard.
pub struct Desk<'a> {
    /// Where they are kept.
    pub app: &'a App,
    /// Whose they are.
    pub project: &'a Project,
    /// The key of the dashboard.
    pub board: &'a str,
}

/// Whether members may type addresses inside the operator's network.
pub fn private(app: &App) -> Private {
    if app.config.webhook_private { Private::Allowed } else { Private::Refused }
}

impl Desk<'_> {
    /// Set one up.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn create(
        &self,
        typed: &Typed<'_>,
        language: &str,
        deed: Deed<'_>,
    ) -> Result<(), Refused> {
        let plan = self.read(typed, language).map_err(Refused::Wrong)?;
        let table = self.app.meta.reports();
        if table.list(self.project.id, None).await?.len() >= REPORTS_MAX {
            return Err(Refused::Full);
        }
        let due_ms = plan.every.next(plan.hour, &self.project.calendar(), deed.at_ms);
        table.create(self.project.id, self.board, &plan, due_ms, deed).await?;
        Ok(())
    }

    fn read(&self, typed: &Typed<'_>, language: &str) -> Result<Plan, String> {
        let every = Every::parse(typed.every).ok_or("how often: day, week or month")?;
        let hour = typed.hour.parse().ok().filter(|hour| (0..24).contains(hour));
        let hour = hour.ok_or("the hour is 0 to 23")?;
        let way = Way::parse(typed.way).ok_or("the way is mail or webhook")?;
        let recipients = match way {
            Way::Webhook => {
                outbound::webhook_url(typed.to.trim(), private(self.app))?;
                vec![typed.to.trim().to_owned()]
            }
            Way::Mail if !self.app.mailer.is_set() => {
                return Err(mail::MailError::NoServer.to_string());
            }
            Way::Mail => addresses(typed.to)?,
        };
        Ok(Plan { every, hour, way, recipients, language: language.to_owned() })
    }

    /// Those of the dashboard.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Report>, MetaError> {
        self.app.meta.reports().list(self.project.id, Some(self.board)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub async fn load(&self, id: u32) -> Result<Report, Refused> {
        let all = self.list().await?;
        all.into_iter().find(|report| report.id == id).ok_or(Refused::Unknown)
    }

    /// Let one wait, or go on with the next time from now.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn pause(&self, id: u32, paused: bool, deed: Deed<'_>) -> Result<(), Refused> {
        let report = self.load(id).await?;
        let due_ms = report.plan.every.next(report.plan.hour, &self.project.calendar(), deed.at_ms);
        Ok(self.app.meta.reports().pause(&report, paused, due_ms, deed).await?)
    }

    /// Send one now, beside its schedule.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn ask_for(&self, id: u32, deed: Deed<'_>) -> Result<(), Refused> {
        let report = self.load(id).await?;
        Ok(self.app.meta.reports().ask_for(&report, deed).await?)
    }

    /// Take one away.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn remove(&self, id: u32, deed: Deed<'_>) -> Result<(), Refused> {
        let report = self.load(id).await?;
        Ok(self.app.meta.reports().remove(&report, deed).await?)
    }

    /// Take all of them away: their dashboard goes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_all(&self, deed: Deed<'_>) -> Result<(), MetaError> {
        for report in self.list().await? {
            self.app.meta.reports().remove(&report, deed).await?;
        }
        Ok(())
    }
}

/// Addresses, each once.
fn addresses(text: &str) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    let parts = text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|part| !part.is_empty());
    for part in parts {
        let address = accounts::email(part).filter(|address| mail::is_address(address));
        let address = address.ok_or_else(|| format!("{part:?} is not a mail address"))?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    match all.len() {
        1..=RECIPIENTS_MAX => Ok(all),
        _ => Err(format!("1 to {RECIPIENTS_MAX} mail addresses")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_once_each_and_a_wrong_one_is_named() {
        let read = addresses("Ann@shop.example, bob@shop.example\nann@shop.example;").unwrap();
        assert_eq!(read, ["ann@shop.example", "bob@shop.example"]);
        for wrong in ["ann", "ann@", "a@b@c", "ann@shop.example\u{0}", "<ann@shop.example>"] {
            assert!(
                addresses(wrong).is_err_and(|said| said.contains("is not a mail address")),
                "{wrong}"
            );
        }
        let many =
            |count: usize| (0..count).map(|n| format!("p{n}@shop.example ")).collect::<String>();
        assert!(addresses(&many(RECIPIENTS_MAX)).is_ok());
        assert!(addresses(&many(RECIPIENTS_MAX + 1)).is_err() && addresses(" ").is_err());
    }
}
