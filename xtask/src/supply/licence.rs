//! Licence expressions (SPDX), as far as packages use them: names, `AND`, `OR`, `/` for `OR`, brackets.

/// The names in the list `allow` of `deny.toml`.
pub fn allowed(deny: &str) -> Option<Vec<String>> {
    let (_, list) = deny.split_once("\nallow = [")?;
    let (list, _) = list.split_once(']')?;
    Some(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Whether an expression can be met with these names only. An empty one cannot.
pub fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    // `A WITH b` is a name of its own.
    let expression = expression.replace(" WITH ", "\u{1}WITH\u{1}");
    let words: Vec<String> =
        expression.split_whitespace().map(|word| word.replace('\u{1}', " ")).collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest, allowed);
    met == Some(true) && rest.is_empty()
}

/// One or more, with `OR` between them; `None` when it is no expression.
fn any(rest: &mut &[String], allowed: &[String]) -> Option<bool> {
    let mut met = all(rest, allowed)?;
    while rest.first().is_some_and(|word| word == "OR") {
        *rest = &rest[1..];
        met |= all(rest, allowed)?;
    }
    Some(met)
}

/// One or more, with `AND` between them.
fn all(rest: &mut &[String], allowed: &[String]) -> Option<bool> {
    let mut met = one(rest, allowed)?;
    while rest.first().is_some_and(|word| word == "AND") {
        *rest = &rest[1..];
        met &= one(rest, allowed)?;
    }
    Some(met)
}

fn one(rest: &mut &[String], allowed: &[String]) -> Option<bool> {
    let (word, behind) = rest.split_first()?;
    *rest = behind;
    if word != "(" {
        let is_name = !["AND", "OR", ")"].contains(&word.as_str());
        return is_name.then(|| allowed.contains(word));
    }
    let met = any(rest, allowed)?;
    let (close, behind) = rest.split_first()?;
    *rest = behind;
    (close == ")").then_some(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_the_names_it_leaves_a_choice_of() {
        let allowed: Vec<String> =
            ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        let cases = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND ISC", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND (GPL-3.0 OR ISC)", true),
            ("(MIT OR GPL-3.0) AND GPL-3.0", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("Apache-2.0", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("", false),
            ("MIT OR", false),
            ("(MIT", false),
            ("MIT ISC", false),
        ];
        for (expression, want) in cases {
            assert_eq!(is_met(expression, &allowed), want, "{expression}");
        }
    }

    #[test]
    fn the_list_is_read_with_its_comments_left_out() {
        let deny = "[licenses]\n# Not \"this\".\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\n[bans]\ndeny = [\"x\"]\n";
        assert_eq!(allowed(deny).unwrap(), ["MIT", "ISC"]);
    }
}
