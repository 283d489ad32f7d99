use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

const GUARD: Guard = Guard { is_on: true };

/// `tests/vectors/guard.json`, which the SDK passes too.
#[derive(Deserialize)]
struct Vectors {
    texts: Vec<(String, String)>,
    named: Vec<(String, Value, Value)>,
    names: Vec<(String, String)>,
    kept: Vec<(String, Value)>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/guard.json")).unwrap()
}

fn cleaned(props: &Value) -> Value {
    let json = props.to_string();
    let clean = GUARD.props(&json).unwrap();
    assert_eq!(clean, GUARD.json(&json), "suspicion overlooks something in {json}");
    assert_eq!(GUARD.props(&clean).unwrap(), clean, "a second time changes more");
    serde_json::from_str(&clean).unwrap()
}

/// Shows S1-29 and S3-50.
#[test]
fn texts_lose_what_the_vectors_say() {
    for (text, want) in vectors().texts {
        assert_eq!(GUARD.text(&text), want, "{text}");
        assert_eq!(cleaned(&json!({ "page": text })), json!({ "page": want }));
    }
}

#[test]
fn names_hide_values_and_are_cleaned_themselves() {
    let Vectors { named, names, .. } = vectors();
    for (name, value, want) in named {
        assert_eq!(cleaned(&json!({ name.clone(): value })), json!({ name: want }));
    }
    for (name, want) in names {
        assert_eq!(cleaned(&json!({ name: 1 })), json!({ want: 1 }));
    }
}

#[test]
fn everything_else_stays() {
    for (name, value) in vectors().kept {
        let props = json!({ name: value });
        assert_eq!(cleaned(&props), props);
    }
}

#[rstest]
#[case::white_space(
    r#"{ "a" : "x@y.example" , "b" : 1.50 }"#,
    r#"{ "a" : "[email]" , "b" : 1.50 }"#
)]
#[case::escapes(r#"{"a":"x\u0040y.example","b":"\u00e9"}"#, r#"{"a":"[email]","b":"\u00e9"}"#)]
#[case::what_looks_like_json(r#"{"a":"\",\"b\":\"x@y.example"}"#, r#"{"a":"\",\"b\":\"[email]"}"#)]
#[case::digits_beyond_floats(r#"{"a":0.1000,"pwd":9}"#, r#"{"a":0.1000,"pwd":"[secret]"}"#)]
fn what_is_not_hidden_stays_byte_for_byte(#[case] json: &str, #[case] want: &str) {
    assert_eq!(GUARD.props(json).unwrap(), want);
}

#[test]
fn off_hides_nothing_and_still_checks() {
    let off = Guard { is_on: false };
    let json = r#"{"password":"hunter2"}"#;
    assert_eq!(off.props(json).unwrap(), json);
    assert_eq!(off.json(json), json);
    assert_eq!(off.text("ann@example.org"), "ann@example.org");
    assert!(off.props("[]").is_err() && GUARD.props("[]").is_err());
}

#[rstest]
#[case::none("[] [e-mail] [email email]", "")]
#[case::one("x [email]", "email")]
#[case::in_the_order_of_rules("[card][email][[secret]]", "secret,email,card")]
fn marks_are_found(#[case] text: &str, #[case] want: &str) {
    assert_eq!(&*Marks::of(text).text(), want);
    assert_eq!(Marks::of(text).is_empty(), want.is_empty());
}

proptest! {
    #[test]
    fn any_json_stays_json_and_settles(text in r#"([a@.%40= "\\\\+0-9é-]|token|\[|\]|":){0,40}"#, name in "[a-z_]{0,6}(token|phone)?") {
        let props = json!({ name: [text.clone(), { "b": text }] });
        cleaned(&props);
        prop_assert_eq!(GUARD.json(&props.to_string()[1..]).is_empty(), false);
    }

    /// A digit changed, and it is no card any more: Luhn's check finds every single one.
    #[test]
    fn one_wrong_digit_makes_no_card(at in 1..16usize, digit in 0..10u8) {
        let mut digits = *b"4111111111111111";
        digits[at] = digit + b'0';
        let text = String::from_utf8(digits.to_vec()).unwrap();
        prop_assert_eq!(GUARD.text(&text) == "[card]", digits == *b"4111111111111111");
    }
}
