//! Everything that can be wrong with a question.

/// Why a question cannot be answered. `Display` says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// No such kind.
    #[error("there is no question of kind `{kind}`; ask one of {known}")]
    UnknownKind {
        /// What was asked.
        kind: String,
        /// What can be asked.
        known: String,
    },
    /// Not the shape of a question: a wrong type, a missing or an unknown field.
    #[error("the question cannot be read: {detail}")]
    Malformed {
        /// Which field, and what was expected.
        detail: String,
    },
    /// Part of the contract, but not of this release.
    #[error("{what} is not available for this question yet; leave it out")]
    Unsupported {
        /// The field and its value.
        what: String,
    },
    /// No such time zone.
    #[error("`{tz}` is not an IANA time zone; write for example `Europe/Berlin` or `UTC`")]
    TimeZone {
        /// What was given.
        tz: String,
    },
    /// Not a time.
    #[error(
        "`{field}` is `{value}`; write a date (2026-09-01) or an RFC 3339 instant (2026-09-01T12:00:00Z)"
    )]
    Time {
        /// Which field.
        field: String,
        /// What was given.
        value: String,
    },
    /// Nothing lies in the range.
    #[error("the range is empty: `from` ({from}) must be before `to` ({to}), which is excluded")]
    EmptyRange {
        /// Start.
        from: String,
        /// End.
        to: String,
    },
    /// Too many time buckets.
    #[error(
        "{buckets} buckets of one {unit} are more than {limit}; shorten the range or take a larger bucket"
    )]
    TooManyBuckets {
        /// How many there would be.
        buckets: usize,
        /// The bucket.
        unit: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Not a length of time.
    #[error("`{field}` is `{value}`; write a number and a unit: 90s, 10m, 24h, 7d, 2w, up to 366d")]
    Duration {
        /// Which field.
        field: String,
        /// What was given.
        value: String,
    },
    /// A filter that makes no sense.
    #[error("filter on `{prop}`: {detail}")]
    Filter {
        /// The property.
        prop: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// Too many or too few of something.
    #[error("{what}: {got}; it takes {min} to {max}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// At least.
        min: usize,
        /// At most.
        max: usize,
    },
    /// A field whose value contradicts another field or is out of range.
    #[error("`{field}`: {detail}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong and what to do.
        detail: String,
    },
}

impl QuestionError {
    /// The permanent code of this error, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "question_unknown",
            Self::Malformed { .. } => "question_malformed",
            Self::Unsupported { .. } => "unsupported",
            Self::TimeZone { .. } => "tz_unknown",
            Self::Time { .. } => "time_invalid",
            Self::EmptyRange { .. } => "range_empty",
            Self::TooManyBuckets { .. } => "too_many_buckets",
            Self::Duration { .. } => "duration_invalid",
            Self::Filter { .. } => "filter_invalid",
            Self::Count { .. } => "count_invalid",
            Self::Field { .. } => "field_invalid",
        }
    }
}
