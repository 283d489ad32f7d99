//! The form in which a page hands a document over: parts separated by NUL.
//!
//! `s…` is a text, `n…` a number, `t` and `f` the truth, `0` nothing; `[` begins a list and `{` a map, in
//! which `:…` names what follows; `]` ends both. A page's own JSON parser has read the document
//! already, and handing over objects, or parsing JSON once more here, costs many times as much code.

use super::value::cut;
use super::{Host, Value};
use alloc::borrow::ToOwned;
use alloc::vec::Vec;

/// Lists in maps in lists … so deep and no deeper.
const DEPTH_MAX: u8 = 64;

/// The value that `npm/src/pack.ts` packed; `None` when it is none, or too deep.
pub fn unpack(packed: &str, host: &impl Host) -> Option<Value> {
    let mut rest = Some(packed);
    value(&mut rest, host, DEPTH_MAX).filter(|_| rest.is_none())
}

fn value(rest: &mut Option<&str>, host: &impl Host, depth: u8) -> Option<Value> {
    let deeper = depth.checked_sub(1)?;
    let part = next(rest)?;
    let content = part.get(1..)?;
    Some(match part.as_bytes().first()? {
        b's' => Value::Text(content.to_owned()),
        b'n' => Value::Number(host.number_of(content)),
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'0' => Value::Null,
        b'[' => {
            let mut items = Vec::new();
            while !ends(rest) {
                items.push(value(rest, host, deeper)?);
            }
            Value::List(items)
        }
        b'{' => {
            let mut fields = Vec::new();
            while !ends(rest) {
                let name = next(rest)?.get(1..)?.to_owned();
                fields.push((name, value(rest, host, deeper)?));
            }
            Value::Map(fields)
        }
        _ => return None,
    })
}

fn next<'a>(rest: &mut Option<&'a str>) -> Option<&'a str> {
    let (part, after) = cut((*rest)?, 0);
    *rest = after;
    Some(part)
}

/// Takes the end of a list or a map, if it is next.
fn ends(rest: &mut Option<&str>) -> bool {
    let is_end = rest.is_some_and(|rest| cut(rest, 0).0 == "]");
    if is_end {
        next(rest);
    }
    is_end
}

#[cfg(all(test, feature = "flags-native"))]
mod tests {
    use super::super::Native;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    /// As the page does it.
    fn pack(value: &Json) -> String {
        match value {
            Json::Null => "0".into(),
            Json::Bool(yes) => if *yes { "t" } else { "f" }.into(),
            Json::Number(number) => format!("n{number}"),
            Json::String(text) => format!("s{text}"),
            Json::Array(items) => {
                let items: String = items.iter().map(|item| pack(item) + "\0").collect();
                format!("[\0{items}]")
            }
            Json::Object(fields) => {
                let field = |(name, value)| format!(":{name}\0{}\0", pack(value));
                format!("{{\0{}]", fields.iter().map(field).collect::<String>())
            }
        }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let json =
            json!({ "a": [1.5, "", "]", null, { "": true }], "ü.\n": { "x": false, "y": [] } });
        assert_eq!(unpack(&pack(&json), &Native), Some(json.into()));
    }

    #[test]
    fn a_document_may_have_64_levels() {
        let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(unpack(&pack(&nested(64)), &Native).is_some());
        assert!(unpack(&pack(&nested(65)), &Native).is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[snmtf0:\\[\\]{}a\u{0}]{0,40}") {
            let _ = unpack(&text, &Native);
        }
    }
}
