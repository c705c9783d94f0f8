//! The language of a response: `Accept-Language` (RFC 9110, section 12.5.4), otherwise the default.

use axum::http::{HeaderMap, header};

use crate::http::error::reason::Language;

/// A range's weight in thousandths; 0 stands for "not acceptable".
type Weight = u16;

/// The default of `/oss/*` is Chinese, because its existing clients expect it; everywhere else it
/// is the configured `default`.
pub(in crate::http) fn of(path: &str, headers: &HeaderMap, default: Language) -> Language {
    let default = if path.starts_with("/oss/") { Language::Chinese } else { default };
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    best(lines.flat_map(|line| line.split(',')), default)
}

/// The language with the highest weight. If several have it, the first one named; if `*` covers
/// both, the default.
fn best<'a>(ranges: impl Iterator<Item = &'a str>, default: Language) -> Language {
    let other = match default {
        Language::Chinese => Language::English,
        Language::English => Language::Chinese,
    };
    let mut wished = [Wish::new(default), Wish::new(other)];
    let mut rest = None;
    for (position, (range, weight)) in ranges.filter_map(range).enumerate() {
        match range {
            Range::Any => rest = rest.max(Some(weight)),
            Range::Of(language) => wished.iter_mut().filter(|wish| wish.language == language).for_each(|wish| {
                wish.add(weight, position);
            }),
            Range::Unknown => {}
        }
    }
    let [default, other] = wished.map(|wish| wish.or(rest));
    if other.is_before(&default) { other.language } else { default.language }
}

/// A client's preference for a language.
struct Wish {
    language: Language,
    /// `None` if the client does not mention it.
    weight: Option<Weight>,
    /// Its position; last if it was not named.
    position: usize,
}

impl Wish {
    const fn new(language: Language) -> Self {
        Self { language, weight: None, position: usize::MAX }
    }

    /// If several ranges match, such as `en-GB` and `en`, the highest weight counts.
    fn add(&mut self, weight: Weight, position: usize) {
        if self.weight.is_none_or(|known| known < weight) {
            self.weight = Some(weight);
            self.position = if weight == 0 { usize::MAX } else { position };
        }
    }

    /// `*` covers every language that is not named.
    fn or(self, rest: Option<Weight>) -> Self {
        Self { weight: self.weight.or(rest), ..self }
    }

    /// A language that is not mentioned ranks below every acceptable one and above every
    /// unacceptable one.
    fn is_before(&self, other: &Self) -> bool {
        let rank = |weight: Option<Weight>| weight.map_or(1, |weight| weight.saturating_mul(2));
        let (mine, theirs) = (rank(self.weight), rank(other.weight));
        mine > theirs || (mine == theirs && self.position < other.position)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Of(Language),
    Any,
    /// A language that the gateway does not support.
    Unknown,
}

/// A range and its weight; `None` if it is malformed, which is ignored.
fn range(text: &str) -> Option<(Range, Weight)> {
    let (tag, weight) = match text.split_once(';') {
        None => (text, 1000),
        Some((tag, parameter)) => (tag, weight(parameter)?),
    };
    if tag.trim() == "*" {
        return Some((Range::Any, weight));
    }
    let mut subtags = tag.trim().split('-');
    let language = subtags.next().filter(|language| is_subtag(language, u8::is_ascii_alphabetic))?;
    if !subtags.all(|subtag| is_subtag(subtag, u8::is_ascii_alphanumeric)) {
        return None;
    }
    let known = [("zh", Language::Chinese), ("en", Language::English)];
    let known = known.into_iter().find(|(tag, _)| language.eq_ignore_ascii_case(tag));
    Some((known.map_or(Range::Unknown, |(_, language)| Range::Of(language)), weight))
}

/// 1 to 8 characters (RFC 4647, section 2.1).
fn is_subtag(text: &str, allowed: impl Fn(&u8) -> bool) -> bool {
    (1..=8).contains(&text.len()) && text.as_bytes().iter().all(allowed)
}

/// `q=0.5` in thousandths: 0 to 1 with at most three decimals (RFC 9110, section 12.4.2).
fn weight(parameter: &str) -> Option<Weight> {
    let (name, value) = parameter.trim().split_once('=')?;
    if !name.eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3).map(|digit| Weight::from(digit - b'0'));
    match (whole, digits.fold(0, |thousandths, digit| thousandths * 10 + digit)) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Weight, of, weight};
    use crate::http::error::reason::Language::{self, Chinese, English};

    fn chosen(path: &str, lines: &[&str], default: Language) -> Language {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_str(line).unwrap());
        }
        of(path, &headers, default)
    }

    #[test]
    fn accept_language_chooses_between_chinese_and_english() {
        // What is sent, and what is chosen where English and where Chinese is the default.
        let table: &[(&[&str], [Language; 2])] = &[
            (&[], [English, Chinese]),
            (&[""], [English, Chinese]),
            (&[", ,"], [English, Chinese]),
            (&["fr"], [English, Chinese]),
            (&["*"], [English, Chinese]),
            (&["*;q=0"], [English, Chinese]),
            (&["en"], [English, English]),
            (&["EN-gb"], [English, English]),
            (&["zh-Hant-TW"], [Chinese, Chinese]),
            (&["fr, zh;q=0.001"], [Chinese, Chinese]),
            // The highest weight counts, of equal ones the first.
            (&["en, zh"], [English, English]),
            (&["zh, en"], [Chinese, Chinese]),
            (&["en;q=0.5, zh"], [Chinese, Chinese]),
            (&["en;Q=0.5, zh;q=0.9"], [Chinese, Chinese]),
            (&["zh ; q=0.2 , en ;q=0.3"], [English, English]),
            (&["en-GB;q=0.2, zh;q=0.5, en;q=0.9"], [English, English]),
            (&["en;q=0, zh;q=0.1, en-GB;q=0.9"], [English, English]),
            (&["zh;q=0.2", "en;q=0.3"], [English, English]),
            // `*` is every language that is not named.
            (&["*, en;q=0.5"], [Chinese, Chinese]),
            (&["en, *;q=0.5"], [English, English]),
            (&["zh, *"], [Chinese, Chinese]),
            (&["*, zh"], [Chinese, Chinese]),
            (&["fr, *;q=0.1"], [English, Chinese]),
            (&["zh;q=0, *"], [English, English]),
            (&["en;q=0, *;q=0.1"], [Chinese, Chinese]),
            (&["en;q=0.5, *;q=0"], [English, English]),
            // q=0 is not acceptable: the other one, which was not refused, is better.
            (&["zh;q=0"], [English, English]),
            (&["en;q=0.000"], [Chinese, Chinese]),
            (&["en;q=0, zh;q=0"], [English, Chinese]),
            // A malformed range is as good as not sent.
            (&["en;q=5, zh;q=0.1"], [Chinese, Chinese]),
            (&["en;q=inf, zh;q=0.1"], [Chinese, Chinese]),
            (&["en;q=nan"], [English, Chinese]),
            (&["zh;q=nonsense"], [English, Chinese]),
            (&["en;level=1, zh;q=0.1"], [Chinese, Chinese]),
            (&["en;q=1;q=1, zh;q=0.1"], [Chinese, Chinese]),
            (&["en_US, zh;q=0.1"], [Chinese, Chinese]),
            (&["en-, zh;q=0.1"], [Chinese, Chinese]),
            (&["en-GB-oxendict1, zh;q=0.1"], [Chinese, Chinese]),
            (&["english, zh;q=0.1"], [Chinese, Chinese]),
        ];
        let mut wrong = Vec::new();
        for (lines, expected) in table {
            let found = [English, Chinese].map(|default| chosen("/v1/uploads", lines, default));
            let in_oss = chosen("/oss/presign", lines, English);
            if found != *expected || in_oss != expected[1] {
                wrong.push(format!("{lines:?}: {found:?}, /oss/ {in_oss:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn weights_are_0_to_1_with_at_most_three_decimals() {
        let table: &[(&str, Option<Weight>)] = &[
            ("q=0", Some(0)),
            ("q=0.", Some(0)),
            ("q=0.5", Some(500)),
            (" Q=0.25 ", Some(250)),
            ("q=0.125", Some(125)),
            ("q=0.999", Some(999)),
            ("q=1", Some(1000)),
            ("q=1.", Some(1000)),
            ("q=1.000", Some(1000)),
            ("q=0.1234", None),
            ("q=1.001", None),
            ("q=1.0000", None),
            ("q=2", None),
            ("q=5", None),
            ("q=01", None),
            ("q=00.5", None),
            ("q=.5", None),
            ("q=-0", None),
            ("q=+1", None),
            ("q=1e0", None),
            ("q=inf", None),
            ("q=NaN", None),
            ("q=0,5", None),
            ("q=0.+5", None),
            ("q= 0.5", None),
            ("q =0.5", None),
            ("q=", None),
            ("q", None),
            ("", None),
            ("w=0.5", None),
        ];
        for (text, expected) in table {
            assert_eq!(weight(text), *expected, "{text:?}");
        }
    }
}
