//! As much of PromQL as it takes to find what a query names.

use std::iter::Peekable;
use std::str::Chars;

/// What a query names.
#[derive(Debug, Default)]
pub struct Names {
    pub selectors: Vec<Selector>,
    /// Labels that results are put together by.
    pub grouping: Vec<String>,
}

/// A metric, and the labels that it is chosen by.
#[derive(Debug)]
pub struct Selector {
    pub metric: String,
    pub labels: Vec<String>,
}

const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that may stand alone; all other words before a parenthesis are functions.
const WORDS: [&str; 18] = [
    "and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count", "topk", "bottomk", "group", "stddev",
    "stdvar", "quantile", "inf", "nan",
];

/// The names in a query.
pub fn names(query: &str) -> Names {
    let mut names = Names::default();
    let mut rest = query.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '"' | '\'' => skip_past(&mut rest, next),
            '[' => skip_past(&mut rest, ']'),
            '#' => skip_past(&mut rest, '\n'),
            '0'..='9' => drop(word(next, &mut rest)),
            next if is_of_a_word(next) => {
                let word = word(next, &mut rest);
                while rest.next_if(|next| next.is_whitespace()).is_some() {}
                let follows = rest.peek().copied();
                if LISTS.contains(&word.as_str()) && follows == Some('(') {
                    rest.next();
                    names.grouping.extend(labels(&mut rest, ')'));
                } else if follows == Some('{') {
                    rest.next();
                    names.selectors.push(Selector { metric: word, labels: labels(&mut rest, '}') });
                } else if follows != Some('(') && !WORDS.contains(&word.as_str()) {
                    names.selectors.push(Selector { metric: word, labels: Vec::new() });
                }
            }
            _ => {}
        }
    }
    names
}

fn is_of_a_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | ':' | '.')
}

fn word(first: char, rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = first.to_string();
    while let Some(next) = rest.next_if(|next| is_of_a_word(*next)) {
        word.push(next);
    }
    word
}

fn skip_past(rest: &mut Peekable<Chars<'_>>, end: char) {
    while let Some(next) = rest.next() {
        match next {
            '\\' => drop(rest.next()),
            next if next == end => return,
            _ => {}
        }
    }
}

/// The words up to the end of a list, but for those in quotes.
fn labels(rest: &mut Peekable<Chars<'_>>, end: char) -> Vec<String> {
    let mut labels = Vec::new();
    while let Some(next) = rest.next() {
        match next {
            '"' => skip_past(rest, '"'),
            next if next == end => return labels,
            next if is_of_a_word(next) => labels.push(word(next, rest)),
            _ => {}
        }
    }
    panic!("a list without an end")
}

#[test]
fn the_names_in_a_query_are_found() {
    let query = r#"topk(10, sum by (tenant, le) (rate(a_total{job="x",b=~"c}d"}[5m]))) / on (e) f:g > 6 * 3600 # h
        or i offset 5m unless absent(j)"#;
    let names = names(query);
    let selectors: Vec<_> =
        names.selectors.iter().map(|selector| (selector.metric.as_str(), selector.labels.join(" "))).collect();
    let none = String::new;
    assert_eq!(selectors, [("a_total", "job b".to_owned()), ("f:g", none()), ("i", none()), ("j", none())]);
    assert_eq!(names.grouping, ["tenant", "le", "e"]);
}
