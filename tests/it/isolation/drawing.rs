//! `docs/isolation.md`: what the matrix found, to be looked at rather than read.

use std::fmt::Write;

#[derive(Default)]
pub struct Drawing {
    tables: Vec<Table>,
}

/// What each caller was answered by each operation.
pub struct Table {
    title: &'static str,
    callers: Vec<&'static str>,
    rows: Vec<(String, Vec<String>)>,
}

const OPENING: &str = "# Who may call what\n
Made by the test `isolation`, which asks each of these questions: every operation of the OpenAPI documents, by every kind of caller. ✅ is let in. Whatever is not has changed
nothing: no row of any table, no file of any bucket.

| | |
|---|---|
| **401** | `unauthenticated`: the same body for everything that proves nothing |
| **403 scope** | `scope_missing`: a caller of the tenant that may not do this |
| **403 suspended** | `tenant_suspended`: of archived tenants too |
| **403 operator** | `operator_not_allowed`: operators' keys issue nothing and read nothing as an app; on the operators' listener `operator_required`: only they are let in |
| **404** | `resource_not_found`: byte for byte the answer to an id that is nowhere. A caller without `uploads:read` knows of nothing but what it issued itself |
| **404 path** | `not_found`: no such route on this listener |

The uploads of these paths are alpha's, issued by its key with all scopes. \"Another tenant\" is beta, with all scopes; where its cell is ✅, it got its own.
";

impl Drawing {
    pub fn table(&mut self, title: &'static str, callers: impl Iterator<Item = &'static str>) -> &mut Table {
        self.tables.push(Table { title, callers: callers.collect(), rows: Vec::new() });
        self.tables.last_mut().unwrap()
    }

    pub fn text(&self) -> String {
        let mut text = OPENING.to_owned();
        for Table { title, callers, rows } in &self.tables {
            // Whichever there are fewer of stand across, to fit a screen.
            let callers: Vec<String> = callers.iter().map(|name| (*name).to_owned()).collect();
            let operations: Vec<String> = rows.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (down, across, turned) =
                if rows.len() < callers.len() { (&callers, &operations, true) } else { (&operations, &callers, false) };
            let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
            write!(text, "\n## {title}\n\n| {}|{}\n", line(across.clone()), "---|".repeat(across.len() + 1)).unwrap();
            for (row, name) in down.iter().enumerate() {
                let cell = |column: usize| if turned { &rows[column].1[row] } else { &rows[row].1[column] };
                let cells: Vec<String> = (0..across.len()).map(|column| cell(column).clone()).collect();
                assert!(cells.iter().all(|cell| !cell.is_empty()), "{name}: not everybody asked everything");
                write!(text, "| {name} {}", line(cells)).unwrap();
            }
        }
        text
    }
}

impl Table {
    pub fn cell(&mut self, operation: &str, caller: &str, outcome: &str) {
        if self.rows.last().is_none_or(|(name, _)| name != operation) {
            self.rows.push((operation.to_owned(), vec![String::new(); self.callers.len()]));
        }
        let place = self.callers.iter().position(|name| *name == caller).unwrap();
        let (_, cells) = self.rows.last_mut().unwrap();
        shortened(outcome).clone_into(&mut cells[place]);
    }
}

fn shortened(outcome: &str) -> &str {
    match outcome {
        "401 unauthenticated" => "401",
        "403 scope_missing" => "403 scope",
        "403 tenant_suspended" => "403 suspended",
        "403 operator_not_allowed" | "403 operator_required" => "403 operator",
        "✓" => "✅",
        "404 resource_not_found" => "404",
        "404 not_found" => "404 path",
        other => other,
    }
}
