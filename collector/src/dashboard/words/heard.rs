//! Sentences that were made elsewhere, in the reader's language.
//!
//! In: an English sentence with its values in it, as a refusal or a verdict has it. Out: the same in the language of
//! whoever reads ([`heard`]). What decides (`analysis`, the desks) knows no languages and writes for programs too; so a
//! sentence is told by its form, a line of `heard_de.tsv`: `{names}` stand for what is filled in, and what is filled in
//! may be such a sentence again. One that has no line stays English.

use std::sync::LazyLock;

use super::Lang;

/// A form and the same in another language.
type Form = (&'static str, &'static str);

static GERMAN: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let lines = include_str!("heard_de.tsv").lines();
    lines.filter_map(|line| line.split_once('\t')).collect()
});

/// A sentence in the reader's language.
pub fn heard(sentence: &str) -> String {
    match Lang::current() {
        Lang::English => sentence.to_owned(),
        Lang::German => translated(sentence, &GERMAN),
    }
}

/// The same, as it stands by itself on a page: with a capital.
pub fn told(sentence: &str) -> String {
    let said = heard(sentence);
    let mut letters = said.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

fn translated(sentence: &str, forms: &[Form]) -> String {
    let best = forms
        .iter()
        .filter_map(|(form, other)| Some((fixed(form), other, filled(form, sentence)?)))
        .max_by_key(|(fixed, ..)| *fixed);
    let Some((_, other, values)) = best else { return sentence.to_owned() };
    let mut rest: &str = other;
    let mut out = String::with_capacity(sentence.len() + 32);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        // A part of a sentence may be one; a value that is all of it would go on for ever.
        out.push_str(&if value.len() < sentence.len() {
            translated(value, forms)
        } else {
            value.to_owned()
        });
        rest = after;
    }
    out + rest
}

/// Letters of a form that are not filled in.
fn fixed(form: &str) -> usize {
    let held: usize = form.split('{').skip(1).filter_map(|part| Some(part.find('}')? + 2)).sum();
    form.len() - held
}

/// What is filled in, if a sentence has this form.
fn filled<'a>(form: &'static str, sentence: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let mut parts = form.split('{');
    let mut rest = sentence.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty().then_some(values);
    }
    while let Some(part) = parts.next() {
        let (name, literal) = part.split_once('}')?;
        let at = match (parts.peek(), literal) {
            (None, "") => rest.len(),
            (None, _) => rest
                .len()
                .checked_sub(literal.len())
                .filter(|at| rest.get(*at..) == Some(literal))?,
            (Some(_), _) => rest.find(literal)?,
        };
        values.push((name, &rest[..at]));
        rest = &rest[at + literal.len()..];
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::super::tests::names;
    use super::*;

    const FORMS: &[Form] = &[
        ("filter on `{prop}`: {detail}", "Filter auf `{prop}`: {detail}"),
        ("{what}: {got}; it takes {min} to {max}", "{what}: {got}; es gehen {min} bis {max}"),
        ("steps", "Schritte"),
        ("no value", "kein Wert"),
        ("no {a} in {b}.{more}", "kein {a} in {b}.{more}"),
        (" More.", " Mehr."),
    ];

    #[rstest]
    #[case::whole("no value", "kein Wert")]
    #[case::a_sentence_in_a_sentence("filter on `a: b`: no value", "Filter auf `a: b`: kein Wert")]
    #[case::words_between("steps: 1; it takes 2 to 20", "Schritte: 1; es gehen 2 bis 20")]
    #[case::an_ending("no x in y. More.", "kein x in y. Mehr.")]
    #[case::none("something else", "something else")]
    #[case::nothing("", "")]
    #[case::braces_are_values("filter on `{detail}`: {prop}", "Filter auf `{detail}`: {prop}")]
    #[case::letters_of_several_bytes("filter on `ä`: ö", "Filter auf `ä`: ö")]
    fn a_sentence_is_told_by_its_form(#[case] sentence: &str, #[case] want: &str) {
        assert_eq!(translated(sentence, FORMS), want);
    }

    /// The texts of a file that become sentences: of errors, and of the function that writes verdicts.
    fn sentences(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (at, _) in text.match_indices("#[error(") {
            found.extend(literal(&text[at..]));
        }
        if let Some(at) = text.find("match decision.reason {\n            Reason::Better") {
            let verdicts = &text[at..];
            let end = verdicts.find("\n    }\n}").unwrap_or(verdicts.len());
            let mut rest = &verdicts[..end];
            while let Some(at) = rest.find('"') {
                found.extend(literal(rest));
                let after = &rest[at + 1..];
                rest = after.find('"').map_or("", |end| &after[end + 1..]);
            }
        }
        found.retain(|text| text.len() > 25 && text.contains(' '));
        found
    }

    /// The first literal of a text, as the compiler reads it.
    fn literal(text: &str) -> Option<String> {
        let text = text.split_once('"')?.1.split('"').next()?;
        let mut lines = text.split("\\\n");
        let first = lines.next()?.to_owned();
        Some(lines.map(str::trim_start).fold(first, |text, part| text + part))
    }

    #[test]
    fn every_refusal_and_verdict_has_a_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        let mut missing = Vec::new();
        for file in [
            "analysis/src/question/error.rs",
            "analysis/src/experiment/verdict.rs",
            "src/saved/mod.rs",
            "src/experiments/desk.rs",
            "src/meta/projects.rs",
            "src/admin/keys.rs",
            "src/signin/oidc/token.rs",
        ] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            for sentence in sentences(&text) {
                count += 1;
                // Values are words of no language.
                let holes = sentence.split('{').count() - 1;
                let mut example = sentence.clone();
                for hole in 0..holes {
                    let (from, to) = (example.find('{').unwrap(), example.find('}').unwrap());
                    example.replace_range(from..=to, &format!("x{hole}x"));
                }
                if translated(&example, &GERMAN) == example {
                    missing.push(format!("{file}: {sentence}"));
                }
            }
        }
        assert!(missing.is_empty(), "heard_de.tsv has no line for {missing:#?}");
        assert!(count > 35, "the search finds sentences: {count}");
    }

    #[test]
    fn lines_stand_in_order_once_and_keep_their_names() {
        let lines: Vec<&str> = include_str!("heard_de.tsv").lines().collect();
        assert!(lines.is_sorted() && GERMAN.len() == lines.len());
        for (form, other) in GERMAN.iter() {
            assert_eq!(names(form), names(other), "{form}");
        }
    }
}
