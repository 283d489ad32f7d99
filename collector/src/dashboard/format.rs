//! Numbers, durations and days as a person reads them.
//!
//! In: figures. Out: texts. Invariant: an unknown figure is a dash, never a zero.
//!
//! Deliberately elsewhere: which language that is, and its words (`words`).

use jiff::civil::Date;

use super::words::{Lang, t};

/// What stands where a figure is not known.
pub const UNKNOWN: &str = "–";

/// `1234567` → `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(Lang::current().ways().thousands);
        }
        out.push(digit);
    }
    out
}

/// A figure with thousands separators: whole from 100 on, else up to two decimals.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.into();
    }
    let magnitude = value.abs();
    let sign = if value < 0.0 { "−" } else { "" };
    if magnitude >= 1e15 {
        return format!("{sign}{}", local(&format!("{magnitude:.2e}")));
    }
    let decimals = if magnitude >= 100.0 || magnitude.fract() == 0.0 { 0 } else { 2 };
    let text = format!("{magnitude:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let whole = count(whole.parse().unwrap_or(0));
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}{}{rest}", Lang::current().ways().decimal)
    }
}

/// A number as the code writes it, with the reader's decimal sign.
fn local(number: &str) -> String {
    number.replace('.', Lang::current().ways().decimal.encode_utf8(&mut [0; 4]))
}

/// Like [`figure`], with a dash for an unknown one.
pub fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.into(), figure)
}

/// A short figure for an axis: `1.2k`, `3.4M`.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    let (scaled, unit) = match magnitude {
        m if m >= 1e12 => return format!("{value:.0e}"),
        m if m >= 1e9 => (value / 1e9, "B"),
        m if m >= 1e6 => (value / 1e6, "M"),
        m if m >= 1e4 => (value / 1e3, "k"),
        _ => return figure(value),
    };
    let text = format!("{scaled:.1}");
    format!("{}{unit}", local(text.strip_suffix(".0").unwrap_or(&text)))
}

/// `0.0734` → `7.3 %`; two digits below one per cent, none at a hundred.
pub fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return UNKNOWN.into();
    }
    let percent = ratio * 100.0;
    let magnitude = percent.abs();
    let sign = if percent < 0.0 && magnitude >= 0.005 { "−" } else { "" };
    let decimals = match magnitude {
        m if m >= 99.95 || m == 0.0 => 0,
        m if m < 0.995 => 2,
        _ => 1,
    };
    if magnitude >= 1_000.0 {
        return format!("{sign}{}\u{a0}%", figure(magnitude.round()));
    }
    format!("{sign}{}\u{a0}%", local(&format!("{magnitude:.decimals$}")))
}

/// Like [`percent`], with a dash for an unknown ratio.
pub fn maybe_percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| UNKNOWN.into(), percent)
}

/// Like [`percent`], with its sign even when it is a plus.
pub fn signed_percent(ratio: f64) -> String {
    let text = percent(ratio);
    if ratio > 0.0 { format!("+{text}") } else { text }
}

/// A difference of two ratios in percentage points, with its sign: `+2.2`.
pub fn signed_points(difference: f64) -> String {
    if !difference.is_finite() {
        return UNKNOWN.into();
    }
    let points = difference * 100.0;
    let decimals = if points.abs() < 0.995 { 2 } else { 1 };
    let sign = match points {
        p if p <= -0.005 => "−",
        p if p >= 0.005 => "+",
        _ => "",
    };
    format!("{sign}{}", local(&format!("{:.decimals$}", points.abs())))
}

/// A length of time in its two largest units: `3 min 20 s`, `2 d 4 h`.
pub fn duration(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        return UNKNOWN.into();
    }
    let seconds = (ms / 1_000.0).round() as u64;
    if ms < 950.0 {
        return format!("{ms:.0}\u{a0}ms");
    }
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{}\u{a0}{unit}", count(big)),
        _ => format!("{}\u{a0}{unit} {small}\u{a0}{small_unit}", count(big)),
    };
    match seconds {
        s if s < 60 => format!("{s}\u{a0}s"),
        s if s < 3_600 => two(s / 60, "min", s % 60, "s"),
        s if s < 86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        s => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// Like [`duration`], with a dash for an unknown one.
pub fn maybe_duration(ms: Option<f64>) -> String {
    ms.map_or_else(|| UNKNOWN.into(), duration)
}

/// A p-value: three digits, and never zero.
pub fn p_value(p: f64) -> String {
    match p {
        p if !p.is_finite() => UNKNOWN.into(),
        p if p < 0.001 => local("< 0.001"),
        p if p > 0.995 => "1".into(),
        p if p < 0.1 => local(&format!("{p:.3}")),
        p => local(&format!("{p:.2}")),
    }
}

/// `22 Nov`.
pub fn day(date: Date) -> String {
    let ways = Lang::current().ways();
    format!("{}{}\u{a0}{}", date.day(), ways.after_day, month(date))
}

/// `Sun 22 Nov 2026`.
pub fn full_day(date: Date) -> String {
    format!("{} {} {}", weekday(date), day(date), date.year())
}

/// A number and a noun in the right number: `1 person`, `12 people`.
pub fn counted(value: u64, one: &'static str, many: &'static str) -> String {
    format!("{}\u{a0}{}", count(value), t(if value == 1 { one } else { many }))
}

fn month(date: Date) -> &'static str {
    Lang::current().ways().months[(date.month() - 1) as usize]
}

fn weekday(date: Date) -> &'static str {
    Lang::current().ways().weekdays[date.weekday().to_monday_zero_offset() as usize]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::zero(0, "0")]
    #[case::below_a_thousand(999, "999")]
    #[case::a_thousand(1_000, "1,000")]
    #[case::a_million(1_234_567, "1,234,567")]
    #[case::all_there_is(u64::MAX, "18,446,744,073,709,551,615")]
    fn a_count_reads(#[case] value: u64, #[case] want: &str) {
        assert_eq!(count(value), want);
    }

    #[rstest]
    #[case::whole(5.0, "5")]
    #[case::small(29.99, "29.99")]
    #[case::one_decimal(2.5, "2.5")]
    #[case::large(12_345.678, "12,346")]
    #[case::negative(-3.25, "−3.25")]
    #[case::huge(1e300, "1.00e300")]
    #[case::unknown(f64::NAN, "–")]
    fn a_figure_reads(#[case] value: f64, #[case] want: &str) {
        assert_eq!(figure(value), want);
    }

    #[rstest]
    #[case(9_999.0, "9,999")]
    #[case(10_000.0, "10k")]
    #[case(12_500.0, "12.5k")]
    #[case(3_400_000.0, "3.4M")]
    fn an_axis_reads(#[case] value: f64, #[case] want: &str) {
        assert_eq!(short(value), want);
    }

    #[rstest]
    #[case(0.0, "0\u{a0}%")]
    #[case(0.0042, "0.42\u{a0}%")]
    #[case(0.0734, "7.3\u{a0}%")]
    #[case(1.0, "100\u{a0}%")]
    #[case(-0.21, "−21.0\u{a0}%")]
    #[case(106.3, "10,630\u{a0}%")]
    fn a_ratio_reads(#[case] ratio: f64, #[case] want: &str) {
        assert_eq!(percent(ratio), want);
    }

    #[rstest]
    #[case(0.0221, "+2.2")]
    #[case(-0.0004, "−0.04")]
    #[case(0.0, "0.00")]
    #[case(f64::NAN, "–")]
    fn a_difference_of_ratios_reads(#[case] difference: f64, #[case] want: &str) {
        assert_eq!(signed_points(difference), want);
    }

    #[rstest]
    #[case(0.0, "0\u{a0}ms")]
    #[case(59_400.0, "59\u{a0}s")]
    #[case(60_000.0, "1\u{a0}min")]
    #[case(200_000.0, "3\u{a0}min 20\u{a0}s")]
    #[case(187_200_000.0, "2\u{a0}d 4\u{a0}h")]
    #[case(f64::NAN, "–")]
    fn a_duration_reads(#[case] ms: f64, #[case] want: &str) {
        assert_eq!(duration(ms), want);
    }

    #[rstest]
    #[case(0.0, "< 0.001")]
    #[case(0.0341, "0.034")]
    #[case(0.5, "0.50")]
    #[case(1.0, "1")]
    fn a_p_value_reads(#[case] p: f64, #[case] want: &str) {
        assert_eq!(p_value(p), want);
    }

    #[test]
    fn days_read_like_words() {
        let date = jiff::civil::date(2026, 11, 22);
        assert_eq!(
            (day(date), full_day(date)),
            ("22\u{a0}Nov".into(), "Sun 22\u{a0}Nov 2026".into())
        );
        assert_eq!(counted(1, "person", "people"), "1\u{a0}person");
    }
}
