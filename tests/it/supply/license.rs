//! Expressions of SPDX, as crates have them: <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>.

/// Whether whoever takes only these licences may take this.
pub fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    // Before there were expressions, a slash was an OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    !rest.is_empty() && any(&mut rest, allowed) && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut found = all(rest, allowed);
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        found |= all(rest, allowed);
    }
    found
}

fn all(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut found = one(rest, allowed);
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        found &= one(rest, allowed);
    }
    found
}

fn one(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let Some((first, behind)) = rest.split_first() else { return false };
    *rest = behind;
    if *first == "(" {
        let found = any(rest, allowed);
        return match rest.split_first() {
            Some((&")", behind)) => {
                *rest = behind;
                found
            }
            _ => false,
        };
    }
    if let [with, exception, behind @ ..] = *rest
        && *with == "WITH"
    {
        *rest = behind;
        return allowed.contains(&format!("{first} WITH {exception}").as_str());
    }
    allowed.contains(first)
}

#[test]
fn an_expression_is_allowed_if_some_way_through_it_is() {
    let allowed = ["MIT", "Apache-2.0", "Zlib"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-2.0/MIT", true),
        ("(MIT OR GPL-3.0-only) AND Zlib", true),
        ("MIT OR GPL-3.0-only AND BSD-3-Clause", true),
        ("(MIT OR GPL-3.0-only) AND BSD-3-Clause", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR X", true),
        ("(MIT", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
