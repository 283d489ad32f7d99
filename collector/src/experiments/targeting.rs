//! Whether a targeting condition can be evaluated, and may be read by everyone.
//!
//! Conditions are evaluated on the device, so every visitor can read them. Personal data has no
//! place in them: no ids and no addresses of people.

use serde_json::Value;
use tallymark_protocol::flags::{OPERATORS, compile};

use super::definition::Wrong;

/// Levels of nesting.
const DEPTH_MAX: usize = 10;
/// Bytes as JSON. Every visitor loads them.
const BYTES_MAX: usize = 8 * 1024;
/// Attributes that hold ids.
const IDS: [&str; 2] = ["user", "device"];

/// Check a condition; `field` is where it stands.
///
/// # Errors
/// [`Wrong`] says what is wrong and what to do.
pub fn check(field: &str, condition: &Value) -> Result<(), Wrong> {
    let wrong = |detail: String| Wrong::new(field, detail);
    if condition.to_string().len() > BYTES_MAX {
        return Err(wrong(format!("at most {BYTES_MAX} bytes as JSON: every visitor loads them")));
    }
    all_of(condition, DEPTH_MAX).map_err(wrong)
}

/// An object of paths and of `$or`, `$nor`, `$and`, `$not`.
fn all_of(condition: &Value, depth: usize) -> Result<(), String> {
    let deeper = deeper(depth)?;
    let fields =
        condition.as_object().ok_or("a condition is an object, such as {\"country\": \"DE\"}")?;
    for (name, wanted) in fields {
        match name.as_str() {
            "$or" | "$nor" | "$and" => {
                let list = wanted.as_array().ok_or_else(|| format!("{name} takes a list"))?;
                list.iter().try_for_each(|one| all_of(one, deeper))?;
            }
            "$not" => all_of(wanted, deeper)?,
            operator if operator.starts_with('$') => {
                return Err(format!(
                    "{operator} belongs behind an attribute: {{\"age\": {{\"$gt\": 1}}}}"
                ));
            }
            attribute if IDS.contains(&attribute) && !only_asks_for_existence(wanted) => {
                return Err(format!(
                    "`{attribute}` is an id, and every visitor can read conditions: give these people \
                     a property and target that"
                ));
            }
            _ => value(wanted, deeper)?,
        }
    }
    Ok(())
}

/// What an attribute is compared with.
fn value(wanted: &Value, depth: usize) -> Result<(), String> {
    let deeper = deeper(depth)?;
    match wanted {
        Value::String(text) if is_address(text) => Err(format!(
            "{text:?} looks like an e-mail address, and every visitor can read conditions: give \
             these people a property and target that"
        )),
        Value::Array(items) => items.iter().try_for_each(|item| value(item, deeper)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, operand)| {
            if name.starts_with('$') {
                operator(name, operand, deeper)
            } else {
                value(operand, deeper)
            }
        }),
        _ => Ok(()),
    }
}

fn operator(name: &str, operand: &Value, depth: usize) -> Result<(), String> {
    match (name, operand) {
        ("$inGroup" | "$notInGroup", _) => {
            Err(format!("{name} needs saved groups, which definitions do not have: use $in"))
        }
        ("$regex" | "$regexi", Value::String(pattern)) => {
            let compiled = compile(pattern, name == "$regexi");
            compiled.map(drop).map_err(|error| format!("{name}: {error}"))
        }
        ("$regex" | "$regexi", _) => Err(format!("{name} takes a text")),
        ("$in" | "$nin" | "$ini" | "$nini" | "$all" | "$alli", Value::Array(_)) => {
            value(operand, depth)
        }
        ("$in" | "$nin" | "$ini" | "$nini" | "$all" | "$alli", _) => {
            Err(format!("{name} takes a list"))
        }
        ("$elemMatch", Value::Object(fields))
            if !fields.keys().any(|name| name.starts_with('$')) =>
        {
            all_of(operand, depth)
        }
        (known, _) if OPERATORS.contains(&known) => value(operand, depth),
        (unknown, _) => {
            Err(format!("{unknown} is not an operator; there are {}", OPERATORS.join(", ")))
        }
    }
}

fn only_asks_for_existence(wanted: &Value) -> bool {
    wanted.as_object().is_some_and(|fields| fields.keys().all(|name| name == "$exists"))
}

fn deeper(depth: usize) -> Result<usize, String> {
    depth.checked_sub(1).ok_or_else(|| format!("at most {DEPTH_MAX} levels of nesting"))
}

/// Whether a text has the form of an e-mail address somewhere.
pub fn is_address(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || ",;<>()\"'".contains(c)).any(|word| {
        word.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.split_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::empty(json!({}))]
    #[case::plain(json!({ "country": "DE", "age": { "$gte": 18 } }))]
    #[case::nested(json!({ "$or": [{ "a.b": 1 }, { "$not": { "c": { "$not": { "$regex": "^x" } } } }] }))]
    #[case::items(json!({ "tags": { "$elemMatch": { "name": { "$in": ["a"] } } } }))]
    #[case::signed_in(json!({ "user": { "$exists": true } }))]
    #[case::handle(json!({ "handle": "@ada" }))]
    fn may_be_used(#[case] condition: Value) {
        assert_eq!(check("targeting", &condition).map_err(|wrong| wrong.detail), Ok(()));
    }

    #[rstest]
    #[case::list(json!([]), "object")]
    #[case::unknown_operator(json!({ "a": { "$regx": "x" } }), "$veq")]
    #[case::misplaced(json!({ "$gt": 1 }), "behind an attribute")]
    #[case::or_without_list(json!({ "$or": { "a": 1 } }), "list")]
    #[case::in_without_list(json!({ "a": { "$in": 1 } }), "list")]
    #[case::broken_regex(json!({ "a": { "$regex": "(" } }), "unclosed group")]
    #[case::look_around(json!({ "a": { "$regex": "(?=x)" } }), "look-around")]
    #[case::user_id(json!({ "user": "abc" }), "property")]
    #[case::device_ids(json!({ "$and": [{ "device": { "$in": ["abc"] } }] }), "property")]
    #[case::address(json!({ "mail": { "$in": ["x", "ada@example.org"] } }), "e-mail")]
    #[case::group(json!({ "a": { "$inGroup": "g" } }), "$in")]
    fn is_refused(#[case] condition: Value, #[case] hint: &str) {
        let detail = check("targeting", &condition).unwrap_err().detail;
        assert!(detail.contains(hint), "{detail}");
    }

    #[test]
    fn nesting_ends_at_ten_levels() {
        let nested = |levels: usize| {
            (1..levels).fold(json!({ "a": null }), |inner, _| json!({ "$not": inner }))
        };
        // The attribute's own value is a level too.
        assert!(check("targeting", &nested(9)).is_ok());
        assert!(check("targeting", &nested(10)).is_err());
    }
}
