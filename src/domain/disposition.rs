//! `Content-Disposition`: whether a browser shows or saves a download, and under which name
//! (<https://www.rfc-editor.org/rfc/rfc6266>).

use strum::{EnumString, IntoStaticStr};

use super::Invalid;

/// What a browser does with a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_disposition)]
pub enum DispositionKind {
    Inline,
    Attachment,
}

impl DispositionKind {
    /// Its stable word, as in the header field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_disposition(_: &str) -> Invalid {
    Invalid::new("disposition", "must be inline or attachment")
}

/// The file name of a download: no folder, no control character, no bidirectional control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filename(String);

impl Filename {
    pub const MAX_BYTES: usize = 255;

    /// # Errors
    /// Empty, too long, `.` or `..`, or an invalid character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // The directional formatting characters hide what a name ends with (https://trojansource.codes).
        let turns = |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let is_wrong = |character: char| character.is_control() || "/\\".contains(character) || turns(character);
        if !(1..=Self::MAX_BYTES).contains(&text.len()) || text.chars().any(is_wrong) || matches!(text, "." | "..") {
            let expected = format!(
                "must be 1 to {} bytes, without slashes, control characters and directional formatting characters",
                Self::MAX_BYTES
            );
            return Err(Invalid::new("filename", expected));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of the header field. A name that is not plain appears twice: simplified for old
/// clients, and encoded by RFC 8187.
#[must_use]
pub fn header(kind: DispositionKind, filename: Option<&Filename>) -> String {
    let Some(Filename(name)) = filename else { return kind.as_str().to_owned() };
    let is_plain = |character: char| matches!(character, ' '..='~') && !"\"\\%".contains(character);
    let plain: String = name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    let mut value = format!("{}; filename=\"{plain}\"", kind.as_str());
    if plain != *name {
        value.push_str("; filename*=UTF-8''");
        value.extend(name.bytes().map(encoded));
    }
    value
}

/// A byte in `ext-value` encoding (<https://www.rfc-editor.org/rfc/rfc8187>, section 3.2.1).
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
