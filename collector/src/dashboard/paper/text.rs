//! Text for paper: which bytes a PDF shows for it, and how wide they are.
//!
//! In: any text. Out: bytes of WinAnsi (Windows-1252), the encoding of the fonts that every reader of PDF has, so no font is
//! embedded. What they have no letter for is written in Latin letters (`Привет` becomes `Privet`); [`Encoded::is_told`]
//! says so, and the file then carries the text as it is too, for whoever searches, copies or listens.
//!
//! Widths: Adobe's metrics of Helvetica, in thousandths of the size.

/// What a letter is replaced by that nobody knows a Latin one for.
const UNKNOWN: &str = "?";

/// The part of WinAnsi that is not Latin-1, from 128 on; five codes mean nothing.
const UPPER: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘',
    '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// From the space on.
const ASCII_WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// From 128 on.
const UPPER_WIDTHS: [u16; 128] = [
    556, 350, 222, 556, 333, 1000, 556, 556, 333, 1000, 667, 333, 1000, 350, 611, 350, 350, 222,
    222, 333, 333, 350, 556, 1000, 333, 1000, 500, 333, 944, 350, 500, 667, 278, 333, 556, 556,
    556, 556, 260, 556, 333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 556, 537,
    278, 333, 333, 365, 556, 834, 834, 834, 611, 667, 667, 667, 667, 667, 667, 1000, 722, 667, 667,
    667, 667, 278, 278, 278, 278, 722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722,
    667, 667, 611, 556, 556, 556, 556, 556, 556, 889, 500, 556, 556, 556, 556, 278, 278, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 584, 611, 556, 556, 556, 556, 500, 556, 500,
];

/// How heavy letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Plain,
    Bold,
}

/// A text as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    /// Whether it reads otherwise than it was written.
    pub is_told: bool,
}

/// The bytes of a text. Lines and what steers a printer become spaces.
pub fn encode(text: &str) -> Encoded {
    let mut bytes = Vec::with_capacity(text.len());
    let mut is_told = false;
    for c in text.chars() {
        match c {
            ' '..='~' | '\u{a0}'..='\u{ff}' => bytes.push(c as u32 as u8),
            // The sign of figures, and spaces of other widths: nothing is lost.
            '\u{2212}' => bytes.push(b'-'),
            c if c.is_whitespace() || c.is_control() => bytes.push(b' '),
            c => match UPPER.iter().position(|own| *own == c) {
                Some(at) => bytes.push(128 + at as u8),
                None => {
                    is_told = true;
                    let latin = deunicode::deunicode_char(c).unwrap_or(UNKNOWN);
                    bytes.extend(latin.bytes().filter(|byte| (b' '..=b'~').contains(byte)));
                }
            },
        }
    }
    Encoded { bytes, is_told }
}

/// How wide bytes are in this size. Bold letters are a little wider; a twelfth covers the widest text of them.
pub fn width(bytes: &[u8], size: f64, weight: Weight) -> f64 {
    let of = |byte: &u8| match byte {
        32..=126 => ASCII_WIDTHS[usize::from(byte - 32)],
        128.. => UPPER_WIDTHS[usize::from(byte - 128)],
        _ => 0,
    };
    let plain = bytes.iter().map(|byte| f64::from(of(byte))).sum::<f64>() * size / 1_000.0;
    match weight {
        Weight::Plain => plain,
        Weight::Bold => plain * 13.0 / 12.0,
    }
}

/// A text that fits a width, its end cut off where it has to be.
pub fn fitted(text: &str, room: f64, size: f64, weight: Weight) -> String {
    let wide = |text: &str| width(&encode(text).bytes, size, weight);
    if wide(text) <= room {
        return text.to_owned();
    }
    // Names may be thousands of letters long: no letter is narrower than a fifth of the size.
    let most = (room / size * 5.0).ceil().max(0.0) as usize;
    let mut kept: String = text.chars().take(most).collect();
    while !kept.is_empty() && wide(&format!("{kept}…")) > room {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
}

/// A text in lines of at most this width, no more than `most` of them.
pub fn lines(text: &str, room: f64, size: f64, most: usize) -> Vec<String> {
    let wide = |text: &str| width(&encode(text).bytes, size, Weight::Plain);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}"));
        match longer.filter(|longer| wide(longer) <= room) {
            Some(longer) => {
                lines.pop();
                lines.push(longer);
            }
            None if lines.len() == most => break,
            None => lines.push(fitted(word, room, size, Weight::Plain)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("Sign-ups", b"Sign-ups", false)]
    #[case::latin("Größe é", b"Gr\xf6\xdfe \xe9", false)]
    #[case::windows("5 € – „so“…", b"5 \x80 \x96 \x84so\x93\x85", false)]
    #[case::minus("\u{2212}3\u{a0}%", b"-3\xa0%", false)]
    #[case::russian("Привет", b"Privet", true)]
    #[case::polish("Łódź", b"L\xf3dz", true)]
    #[case::chinese("北京", b"Bei Jing ", true)]
    #[case::controls("a\u{0}b\nc\u{7f}\u{9b}d", b"a b c  d", false)]
    #[case::unknown("\u{f8ff}", b"?", true)]
    #[case::direction("\u{202e}abc", b"abc", true)]
    fn any_text_has_bytes_that_every_reader_can_show(
        #[case] text: &str,
        #[case] want: &[u8],
        #[case] is_told: bool,
    ) {
        let got = encode(text);
        assert_eq!(String::from_utf8_lossy(&got.bytes), String::from_utf8_lossy(want));
        assert_eq!((got.bytes.as_slice(), got.is_told), (want, is_told));
    }

    #[test]
    fn a_text_is_cut_to_its_room_and_no_sooner() {
        let own = width(b"wide", 10.0, Weight::Plain);
        assert_eq!(fitted("wide", own, 10.0, Weight::Plain), "wide");
        assert_eq!(fitted("wide", own - 0.1, 10.0, Weight::Plain), "wi…");
        assert_eq!(fitted(&"i".repeat(100_000), 0.0, 10.0, Weight::Bold), "…");
        for room in [20.0, 50.0, 90.0] {
            let cut = fitted(&"Жil".repeat(3_000), room, 12.0, Weight::Bold);
            assert!(width(&encode(&cut).bytes, 12.0, Weight::Bold) <= room, "{cut}");
        }
    }

    #[test]
    fn a_text_breaks_between_words_and_ends_after_its_lines() {
        let room = width(b"one two", 10.0, Weight::Plain);
        assert_eq!(lines("one two three four", room, 10.0, 9), ["one two", "three", "four"]);
        assert_eq!(lines("one two three four", room, 10.0, 2), ["one two", "three"]);
        assert_eq!(lines("  ", room, 10.0, 2), [""; 0]);
    }
}
