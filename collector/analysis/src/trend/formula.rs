//! Arithmetic with series: `A/B`, `(A - B) / A * 100`.
//!
//! In: letters for the series in order, numbers, `+ - * /` and brackets. Out: one value per
//! bucket; unknown when a part is unknown or a division is by zero.

use crate::question::QuestionError;

/// Longest formula, in characters; also bounds its nesting.
const MAX_CHARS: usize = 200;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    Number(f64),
    Series(usize),
    Apply(char, Box<Formula>, Box<Formula>),
}

impl Formula {
    /// Understand a formula over this many series.
    ///
    /// # Errors
    /// [`QuestionError::Field`] says where it stops making sense.
    pub(super) fn parse(text: &str, series: usize) -> Result<Self, QuestionError> {
        let wrong = |detail: String| QuestionError::Field { field: "formula", detail };
        if text.chars().count() > MAX_CHARS {
            return Err(wrong(format!("longer than {MAX_CHARS} characters")));
        }
        let mut parser = Parser { rest: text, series };
        let formula = parser.sum().map_err(wrong)?;
        match parser.peek() {
            None => Ok(formula),
            Some(extra) => Err(wrong(format!("`{extra}` is not expected there"))),
        }
    }

    /// Its value for these series.
    pub(super) fn value(&self, series: &[Option<f64>]) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Series(index) => *series.get(*index)?,
            Self::Apply(operator, left, right) => {
                let (left, right) = (left.value(series)?, right.value(series)?);
                match operator {
                    '+' => Some(left + right),
                    '-' => Some(left - right),
                    '*' => Some(left * right),
                    _ => (right != 0.0).then(|| left / right),
                }
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    series: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn next(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn sum(&mut self) -> Result<Formula, String> {
        self.operators(&['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Formula, String> {
        self.operators(&['*', '/'], Self::atom)
    }

    fn operators(
        &mut self,
        operators: &[char],
        part: fn(&mut Self) -> Result<Formula, String>,
    ) -> Result<Formula, String> {
        let mut left = part(self)?;
        while let Some(operator) = self.peek().filter(|next| operators.contains(next)) {
            self.next();
            left = Formula::Apply(operator, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Formula, String> {
        match self.peek() {
            Some('(') => {
                self.next();
                let inside = self.sum()?;
                if self.peek() != Some(')') {
                    return Err("a bracket is not closed".into());
                }
                self.next();
                Ok(inside)
            }
            Some(letter @ 'A'..='Z') => {
                self.next();
                let index = letter as usize - 'A' as usize;
                if index >= self.series {
                    return Err(format!("`{letter}` names no series; there are {}", self.series));
                }
                Ok(Formula::Series(index))
            }
            Some('0'..='9' | '.') => {
                let digits =
                    self.rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
                let (number, rest) = self.rest.split_at(digits);
                self.rest = rest;
                number.parse().map(Formula::Number).map_err(|_| format!("`{number}` is no number"))
            }
            Some(other) => Err(format!("`{other}` is not expected there; write for example `A/B`")),
            None => Err("something is missing at the end; write for example `A/B`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("A/B", Some(2.5))]
    #[case("A - B * 2", Some(2.0))]
    #[case("(A-B)*2", Some(12.0))]
    #[case("A - B - 1", Some(5.0))]
    #[case("A / (B - 4)", None)]
    #[case("100 * A / C", None)]
    fn a_formula_is(#[case] text: &str, #[case] want: Option<f64>) {
        let formula = Formula::parse(text, 3).unwrap();
        assert_eq!(formula.value(&[Some(10.0), Some(4.0), None]), want);
    }

    #[rstest]
    #[case("")]
    #[case("A +")]
    #[case("A B")]
    #[case("(A")]
    #[case("D")]
    #[case("1.2.3")]
    #[case("A ^ B")]
    fn a_formula_that_is_none_is_refused(#[case] text: &str) {
        assert_eq!(Formula::parse(text, 3).unwrap_err().code(), "field_invalid");
    }
}
