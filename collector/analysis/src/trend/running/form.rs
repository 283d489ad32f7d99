//! Which buckets a running form counts, and where the first of them begins.

use crate::question::{Common, QuestionError};
use crate::time_bucket::{Buckets, Unit, date_of, start_of};
use crate::trend::{Measure, Question};

/// Which buckets each one stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trend) enum Form {
    Cumulative,
    /// So many, the last of them itself.
    Rolling(usize),
}

impl Form {
    /// # Errors
    /// [`QuestionError::Field`] for any other word.
    pub(in crate::trend) fn parse(text: &str) -> Result<Self, QuestionError> {
        const MAX: usize = 366;
        match text.strip_prefix("rolling:").map(str::parse) {
            None if text == "cumulative" => Ok(Self::Cumulative),
            Some(Ok(buckets @ 2..=MAX)) => Ok(Self::Rolling(buckets)),
            _ => Err(QuestionError::Field {
                field: "form",
                detail: format!(
                    "`{text}` is not known; write `cumulative`, or `rolling:7` for 2 to {MAX} buckets"
                ),
            }),
        }
    }

    /// Buckets before the range that count.
    pub(in crate::trend) fn lead(self) -> usize {
        match self {
            Self::Cumulative => 0,
            Self::Rolling(buckets) => buckets - 1,
        }
    }

    /// The first bucket that one stands for.
    pub(super) fn first(self, bucket: usize) -> usize {
        match self {
            Self::Cumulative => 0,
            Self::Rolling(buckets) => (bucket + 1).saturating_sub(buckets),
        }
    }
}

/// The buckets of a running form, those before the range included, and where they begin.
pub(in crate::trend) fn buckets(
    common: &Common,
    question: &Question,
    form: Form,
) -> Result<(Vec<Buckets>, i64), QuestionError> {
    let refused = |field, detail: String| Err(QuestionError::Field { field, detail });
    if question.compare.is_some() {
        return refused(
            "compare",
            "a running form has no period before; leave one of them out".into(),
        );
    }
    let runs = |measure: Measure| {
        matches!(measure, Measure::Count | Measure::Persons | Measure::Sum | Measure::Avg)
            || measure == Measure::PerPerson
    };
    if let Some(series) = question.series.iter().find(|series| !runs(series.measure)) {
        let detail = format!(
            "`{}` has no running form; there are count, persons, sum, avg and per_person",
            series.measure.name()
        );
        return refused("series.measure", detail);
    }
    let buckets = Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?;
    if form.lead() == 0 {
        return Ok((vec![buckets], common.from_ms));
    }
    let back = form.lead() as i64;
    let span = jiff::Span::new();
    let earlier = match question.bucket {
        unit if unit.is_short() => {
            unit.elapsed_ms().map(|step_ms| buckets.bounds_ms[0] - back * step_ms)
        }
        unit => {
            let span = match unit {
                Unit::Week => span.weeks(back),
                Unit::Month => span.months(back),
                _ => span.days(back),
            };
            date_of(buckets.bounds_ms[0], &common.calendar.tz)
                .and_then(|first| first.checked_sub(span).ok())
                .and_then(|date| start_of(date, &common.calendar.tz))
        }
    };
    let earlier = earlier.ok_or_else(|| QuestionError::Time {
        field: "from".into(),
        value: common.from_ms.to_string(),
    })?;
    let all = Buckets::new(question.bucket, &common.calendar, earlier, common.to_ms, 0)?;
    Ok((vec![all], earlier))
}
