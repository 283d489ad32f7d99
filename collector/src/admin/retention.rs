//! How long events are kept: what a person may write, whoever asks.

use tallymark_store::Keep;

use crate::meta::projects::Settings;
use crate::privacy;

/// How long: days, or for ever.
pub type Days = Option<u32>;

/// 100 years: more is a mistake.
pub const DAYS_MAX: u32 = 36_500;

/// Days after they happened, or `ever`.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_days(text: &str) -> Result<Days, String> {
    if text == "ever" {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    days.map(Some).ok_or_else(|| format!("1 to {DAYS_MAX} days, or `ever`"))
}

/// The rule of one event, `NAME=DAYS`; nothing behind the sign takes it away.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_event(text: &str) -> Result<(String, Option<Days>), String> {
    let (name, days) = text.split_once('=').ok_or("a name, `=` and days")?;
    Ok((name.to_owned(), parse_rule(name, days)?))
}

/// The rule of an event; without days there is none.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_rule(name: &str, days: &str) -> Result<Option<Days>, String> {
    tallymark_protocol::event_name::check(name).map_err(|code| code.detail().to_owned())?;
    (!days.is_empty()).then(|| parse_days(days)).transpose()
}

/// The rules as they are then: `None` takes an event's rule away.
///
/// # Errors
/// A sentence, when the project's preset keeps nothing for so long.
pub fn changed(
    mut keep: Keep,
    settings: &Settings,
    days: Option<Days>,
    events: &[(String, Option<Days>)],
) -> Result<Keep, String> {
    if let Some(most) = privacy::days_max(settings) {
        let mut asked = days.into_iter().chain(events.iter().filter_map(|(_, days)| *days));
        if asked.any(|days| days.is_none_or(|days| days > most)) {
            return Err(format!("the project's preset keeps events for {most} days at most"));
        }
    }
    keep.days = days.unwrap_or(keep.days);
    for (name, days) in events {
        match days {
            Some(days) => drop(keep.events.insert(name.clone(), *days)),
            None => drop(keep.events.remove(name)),
        }
    }
    Ok(keep)
}
