//! `docs/logging.md` lists every event in the code with its fields, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The events of one text of code, with the names of their fields.
fn events(code: &str) -> Vec<(String, BTreeSet<String>)> {
    let levels = ["error", "warn", "info", "debug", "trace", "$level"];
    let calls = levels.iter().flat_map(|level| {
        let call = format!("tracing::{level}!(");
        code.match_indices(&call).map(|(at, call)| &code[at + call.len()..]).collect::<Vec<_>>()
    });
    calls.map(event).collect()
}

/// The event that a call's arguments make, up to the bracket that ends them.
fn event(arguments: &str) -> (String, BTreeSet<String>) {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted) = (0_i32, false);
    for character in arguments.chars() {
        match character {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    let (message, fields) = parts.split_last().unwrap();
    let field = |part: &&str| part.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned();
    (message.trim_matches('"').to_owned(), fields.iter().map(field).collect())
}

fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/logging.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        (quoted(cells[1]).remove(0), quoted(cells[3]).into_iter().collect())
    };
    rows.map(row).collect()
}

#[test]
fn every_event_and_each_of_its_fields_is_in_the_documentation() {
    let documented = documented();
    let mut undocumented = Vec::new();
    let mut written = BTreeSet::new();
    for source in crate::tidy::sources() {
        for (message, fields) in events(&source.code) {
            let known = documented.get(&message);
            let missing: Vec<_> =
                fields.iter().filter(|field| !known.is_some_and(|known| known.contains(*field))).collect();
            if known.is_none() || !missing.is_empty() {
                undocumented.push(format!("{}: {message:?} lacks {missing:?}", source.path.display()));
            }
            written.insert(message);
        }
    }
    assert!(undocumented.is_empty(), "docs/logging.md: {undocumented:#?}");
    let gone: Vec<_> = documented.keys().filter(|message| !written.contains(*message)).collect();
    assert!(gone.is_empty(), "docs/logging.md names what is not written any more: {gone:#?}");
    assert!(written.len() > 25, "the events were found");
}
