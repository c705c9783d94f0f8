//! Watches the log of the whole test run, at TRACE, for secrets. One in the log ends the run.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use presign_gateway::config::telemetry::Level;
use presign_gateway::telemetry;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

static SECRETS: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// From now on this text must never be logged, by anybody in this process.
pub fn watch(secret: &str) {
    assert!(secret.len() >= 12, "too short to be told from chance");
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
}

/// The secret in a text, if there is one.
pub fn find(text: &str) -> Option<String> {
    // A signature or a token, whoever made it.
    for mark in ["X-Amz-Signature=", "X-Amz-Security-Token=", "pgw_", "Bearer ey"] {
        if text.contains(mark) {
            return Some(mark.to_owned());
        }
    }
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|secret| text.contains(*secret)).cloned()
}

/// Starts watching; the first call in the process does.
pub fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let lines = fmt::layer().with_ansi(false).with_writer(|| Watcher);
        tracing_subscriber::registry().with(lines.with_filter(telemetry::filter(Level::Trace))).init();
    });
}

struct Watcher;

impl Write for Watcher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if let Some(secret) = find(&text) {
            // Not by a macro: what those print in a test is captured, and would be lost with the process.
            let _ = writeln!(std::io::stderr(), "A SECRET WAS LOGGED ({secret}):\n{text}");
            std::process::exit(101);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
