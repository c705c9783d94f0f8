//! What the fuzz targets do with their bytes. `cargo test hostile::corpus` does the same with the corpus and with mutations of it:
//! this file is a module there.
//!
//! Each target calls what the service calls, and asserts more than that nothing panics: what is read is within its bounds, what is
//! written is read back as the same, and no error repeats a value that was sent.

mod api_key;
mod body;
mod config;
mod cursor;
mod jwt;
mod keys;
mod query;
mod request;
mod s3_answer;
mod template;
mod told;

/// Judges some bytes; panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("api_key", api_key::judge),
    ("body", body::judge),
    ("config", config::judge),
    ("cursor", cursor::judge),
    ("jwt", jwt::judge),
    ("keys", keys::judge),
    ("query", query::judge),
    ("request", request::judge),
    ("s3_answer", s3_answer::judge),
    ("template", template::judge),
];

/// Judges the bytes as the target of this name does.
pub fn judge(name: &str, data: &[u8]) {
    let (_, judge) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    judge(data);
}
