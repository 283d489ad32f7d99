//! The property guard: e-mail addresses, telephone and card numbers, tokens and what is called a secret do not
//! reach the disk, whoever sends them.
//!
//! In: properties as JSON text, or a single text. Out: the same with `[email]`, `[phone]`, `[card]`, `[token]` or
//! `[secret]` in their place, and which of these are in it. The SDK has the same rules (`npm/src/guard.ts`) and
//! leaves the same marks, so what was hidden in a page counts here as well. It reduces accidents; it is no
//! guarantee.
//!
//! Invariants: what is hidden is in no log and no error; everything else stays byte for byte as it was; what was
//! cleaned once is not changed again.
//!
//! Cost: a look at every name and text as they are checked ([`Guard::look`]), about a nanosecond a byte. Only
//! what looks suspicious is taken apart.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::props::{Piece, check, check_seeing};

/// What is hidden. Marks of all of them in one text are told in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What a name or a parameter says is a secret.
    Secret,
    /// JSON web tokens, bearer tokens, keys of well-known services and of ours.
    Token,
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 5] = [Rule::Secret, Rule::Token, Rule::Email, Rule::Phone, Rule::Card];

    /// Its permanent name, which is also the mark, in brackets.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Secret => "secret",
            Rule::Token => "token",
            Rule::Email => "email",
            Rule::Phone => "phone",
            Rule::Card => "card",
        }
    }
}

const SECRET: &str = "(?:passw(?:or)?d|pass(?:phrase|code)|pwd|secret|token|(?:api|access|private|auth)[-_ ]?key|authorization|credentials?|cookie|cvc|cvv|iban|ssn)";

static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("{SECRET}$")));
static PHONE_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern("(?:phone|mobile)(?:[-_ ]?(?:number|no))?$"));
static PHONE_VALUE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[+0-9 ().\/-]{7,}$"));

/// In the order in which they are applied. The first group of a hit stays.
static PATTERNS: LazyLock<[(Rule, Regex); 5]> = LazyLock::new(|| {
    let secret = format!(
        r#"((?:\b[\w.-]{{0,40}}{SECRET}|[?&#](?:auth|code|jwt|key|otp|sid|sig|signature))(?:=|%3D|"\s*:\s*"?))[^\s"'&#]+"#
    );
    [
        (Rule::Secret, pattern(&secret)),
        (
            Rule::Token,
            pattern(
                r"()(?:\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\bbearer\s+[\w.~+/=-]{8,}|\b(?:(?:sk|rk)[_-](?:live|test|proj|ant)|tm_sk|whsec|gh[opsu]|glpat|xox[abprs])[_-][\w-]{16,})",
            ),
        ),
        (
            Rule::Email,
            pattern(
                r#"()[^\s@<>"'(),;:=/?&#\[\]]{1,64}(?:@|%40)[^\s@<>"'(),;:=/?&#\[\]%]{1,200}\.[a-z]{2,}"#,
            ),
        ),
        (
            Rule::Phone,
            pattern(
                r"()(?:(?:\B\+|%2B)[1-9](?:[ ()./-]{0,2}\d){7,14}|(?:\([2-9]\d\d\) ?|\b[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}\b|\b0\d{2,4}[ /-]\d{3,4} ?\d{3,5}\b|\b0\d(?: \d\d){4}\b)",
            ),
        ),
        (
            Rule::Card,
            pattern(
                r"()(?:\b(?:\d{4}[ -]){3}\d{1,7}\b|\b3\d{3}[ -]\d{6}[ -]\d{4,5}\b|\b\d{13,19}\b)",
            ),
        ),
    ]
});

/// As JavaScript reads it: `\w`, `\d` and `\b` know ASCII only.
fn pattern(text: &str) -> Regex {
    let ascii = text.replace(r"[\w", "[0-9A-Za-z_").replace(r"\d", "[0-9]");
    Regex::new(&format!("(?i){ascii}")).expect("the tests use every pattern")
}

/// Hides, unless it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Whether anything is hidden.
    pub is_on: bool,
}

impl Guard {
    /// Checks properties as [`check`] does, and hides in them.
    ///
    /// # Errors
    /// As the check.
    pub fn props(self, json: &str) -> Result<Cow<'_, str>, EventCode> {
        if !self.is_on {
            return check(json).map(|()| Cow::Borrowed(json));
        }
        let is_suspect = Cell::new(false);
        check_seeing(json, |piece| is_suspect.set(is_suspect.get() || suspicious(piece)))?;
        Ok(if is_suspect.get() { hide_in_json(json) } else { Cow::Borrowed(json) })
    }

    /// Hides in JSON that nobody has checked; what is no JSON is left as it is.
    pub fn json(self, json: &str) -> Cow<'_, str> {
        if self.is_on { hide_in_json(json) } else { Cow::Borrowed(json) }
    }

    /// Hides in a text that stands alone, such as the name of an event or an address.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        let look = self.is_on && suspicious(Piece::Text(text));
        if look { hide(text) } else { Cow::Borrowed(text) }
    }
}

/// Which marks stand in texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// Those in this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut marks = 0;
        // Most texts have no bracket, or only those of lists.
        for at in memchr::memchr_iter(b'[', text.as_bytes()) {
            let behind = &text.as_bytes()[at + 1..];
            for rule in Rule::ALL {
                let name = behind.strip_prefix(rule.name().as_bytes());
                if name.is_some_and(|rest| rest.first() == Some(&b']')) {
                    marks |= 1 << rule as u8;
                }
            }
        }
        Self(marks)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rules that left them, in their order.
    pub fn rules(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.0 >> *rule as u8 & 1 == 1)
    }

    /// As the dimension `$guarded` has them: `email,phone`.
    pub fn text(self) -> Box<str> {
        self.rules().map(Rule::name).collect::<Vec<_>>().join(",").into()
    }
}

/// Whether a closer look may find something. Whatever a rule hides is suspicious, and little else.
fn suspicious(piece: Piece<'_>) -> bool {
    match piece {
        // Of 13 digits and more; milliseconds of our days are less.
        Piece::Whole(number) => number >= 2_000_000_000_000,
        // A name's value may be hidden for the name; and a name may be an address itself.
        Piece::Name(name) => {
            ends_like_a_secret(name.as_bytes())
                || memchr::memchr3(b'@', b'%', b'+', name.as_bytes()).is_some()
        }
        Piece::Text(text) => suspicious_text(text),
    }
}

/// Whether a name ends in a word that may hide its value. Two letters rule out nearly all names.
fn ends_like_a_secret(name: &[u8]) -> bool {
    let [.., a, b] = name else { return false };
    let word: &[u8] = match &[a | 0x20, b | 0x20] {
        b"rd" => b"password",
        b"wd" => b"wd",
        b"se" => b"passphrase",
        b"de" => b"passcode",
        b"et" => b"secret",
        b"en" => b"token",
        b"ey" => b"key",
        b"on" => b"authorization",
        b"al" => b"credential",
        b"ls" => b"credentials",
        b"ie" => b"cookie",
        b"vc" => b"cvc",
        b"vv" => b"cvv",
        b"an" => b"iban",
        b"sn" => b"ssn",
        b"ne" => b"phone",
        b"le" => b"mobile",
        b"er" => b"number",
        b"no" => b"no",
        _ => return false,
    };
    let end = name.len().checked_sub(word.len()).map(|from| &name[from..]);
    end.is_some_and(|end| end.eq_ignore_ascii_case(word))
}

fn suspicious_text(text: &str) -> bool {
    /// By byte: does it stop the search, does it continue a number, is it a digit, is it of a word?
    const STOP: u8 = 1;
    const NUMBER: u8 = 2;
    const DIGIT: u8 = 4;
    const WORD: u8 = 8;
    const KINDS: [u8; 256] = {
        let mut kinds = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let it = byte as u8;
            kinds[byte] = match it {
                b'@' | b'%' | b'+' | b'=' | b'"' => STOP,
                b'0'..=b'9' => NUMBER | DIGIT | WORD,
                b' ' | b'(' | b')' | b'.' | b'/' => NUMBER,
                b'-' => NUMBER | WORD,
                b'_' => WORD,
                _ if it.is_ascii_alphabetic() => WORD,
                _ => 0,
            };
            byte += 1;
        }
        kinds
    };
    // `a@b.co` is the shortest of all.
    if text.len() < 6 {
        return false;
    }
    let (mut digits, mut word, mut most_digits, mut longest) = (0u32, 0u32, 0u32, 0u32);
    let mut stops = 0;
    for byte in text.bytes() {
        let kind = KINDS[usize::from(byte)];
        stops |= kind & STOP;
        digits = if kind & NUMBER == 0 { 0 } else { digits + u32::from(kind & DIGIT != 0) };
        word = if kind & WORD == 0 { 0 } else { word + 1 };
        most_digits = most_digits.max(digits);
        longest = longest.max(word);
    }
    let may_be_token = longest >= 16 || speaks_of_bearer(text.as_bytes());
    stops != 0 || most_digits >= 9 || (may_be_token && PATTERNS[1].1.is_match(text))
}

fn speaks_of_bearer(text: &[u8]) -> bool {
    let before = |space: usize| text.get(space.checked_sub(6)?..space);
    memchr::memchr_iter(b' ', text)
        .any(|space| before(space).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer")))
}

/// Hides in every name and value of a JSON text.
fn hide_in_json(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut clean = String::new();
    let mut copied = 0;
    let mut name = Cow::Borrowed("");
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (token, instead) = match byte {
            b'"' => {
                let token = text_at(json, at);
                let Ok(text) = serde_json::from_str::<Text<'_>>(token) else { break };
                let behind = json[at + token.len()..].trim_start();
                if behind.starts_with(':') {
                    let instead = changed(&hide(&text.0), &text.0);
                    name = text.0;
                    (token, instead)
                } else {
                    (token, changed(&hide_value(&name, &text.0), &text.0))
                }
            }
            b'-' | b'0'..=b'9' => {
                let rest = &json[at..];
                let end = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
                let token = &rest[..end];
                (token, changed(&hide_value(&name, token), token))
            }
            _ => {
                at += 1;
                continue;
            }
        };
        if let Some(instead) = instead {
            clean.push_str(&json[copied..at]);
            // A text always serializes.
            clean.push_str(&serde_json::to_string(&instead).unwrap_or_default());
            copied = at + token.len();
        }
        at += token.len();
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    clean.push_str(&json[copied..]);
    Cow::Owned(clean)
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text that begins here, with its quotes.
fn text_at(json: &str, from: usize) -> &str {
    let mut end = from + 1;
    while let Some(byte) = json.as_bytes().get(end) {
        match byte {
            b'"' => return &json[from..=end],
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    &json[from..]
}

fn changed(clean: &str, before: &str) -> Option<String> {
    (clean != before).then(|| clean.to_owned())
}

/// What may stay of a text or a number of this name.
fn hide_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let by_name = if value.is_empty() {
        None
    } else if SECRET_NAME.is_match(name) {
        Some(Rule::Secret)
    } else if PHONE_NAME.is_match(name) && PHONE_VALUE.is_match(value) {
        Some(Rule::Phone)
    } else {
        None
    };
    by_name.map_or_else(|| hide(value), |rule| Cow::Owned(format!("[{}]", rule.name())))
}

fn hide(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (rule, pattern) in PATTERNS.iter() {
        let instead = |hit: &Captures<'_>| {
            let is_ordinary = match rule {
                Rule::Card => !is_card(&hit[0]),
                Rule::Token => !is_token(&hit[0]),
                _ => false,
            };
            if is_ordinary {
                return hit[0].to_owned();
            }
            format!("{}[{}]", &hit[1], rule.name())
        };
        if let Cow::Owned(after) = pattern.replace_all(&clean, instead) {
            clean = Cow::Owned(after);
        }
    }
    clean
}

/// Whether it is random: words that begin like a token have neither digits nor a capital inside.
fn is_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().any(u8::is_ascii_digit)
        || bytes.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
}

/// Whether the digits begin and end as those of a card do: ISO/IEC 7812, the check digit by Luhn.
fn is_card(text: &str) -> bool {
    let digits: Vec<u8> =
        text.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let begins_well = matches!(
        (digits.as_slice(), digits.len()),
        ([4, ..], 13 | 16 | 19)
            | ([5, 1..=5, ..] | [2, 2..=7, ..], 16)
            | ([3, 4 | 7, ..], 15)
            | ([3, 0 | 6 | 8 | 9, ..], 14)
            | ([3, 5, ..], 16..=19)
            | ([6, ..], 15..=19)
    );
    let doubled = |(place, digit): (usize, &u8)| {
        let digit = u32::from(*digit) << (place & 1);
        if digit > 9 { digit - 9 } else { digit }
    };
    begins_well && digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests;
