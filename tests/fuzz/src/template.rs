//! Object-key templates and prefixes: what they make stays in its alphabet and below its prefix.

use chrono::DateTime;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::object_key::{MAX_OBJECT_KEY_BYTES, Naming, Prefix, Template};
use presign_gateway::domain::upload::UploadKind;
use uuid::Uuid;

use super::told::MARK;

/// The first line is the template, the second the prefix.
pub fn judge(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (text, prefix) = text.split_once('\n').map_or((text, None), |(text, prefix)| (text, Some(prefix)));
    let prefix = match prefix.map(Prefix::parse).transpose() {
        Ok(prefix) => prefix,
        Err(error) => return assert!(!error.to_string().contains(MARK)),
    };
    let template = match Template::parse(text, prefix.as_ref()) {
        Ok(template) => template,
        Err(error) => return assert!(!error.to_string().contains(MARK)),
    };
    assert_eq!(template.as_str(), text);
    assert_eq!(Template::parse(template.as_str(), prefix.as_ref()).unwrap(), template);
    let id = UploadId::from(Uuid::from_u128(0x01a0_3c1d_7e1a_7f1d_8f9e_23a4_b5c6_d7e8));
    for (ext, kind) in [(Extension::Jpeg, Some(UploadKind::Origin)), (Extension::Webm, None)] {
        for seconds in [0, 1_795_000_000, 253_402_300_799] {
            let issued_at = DateTime::from_timestamp(seconds, 0).unwrap();
            let naming = Naming { id, ext, kind, issued_at, time_zone: chrono_tz::Asia::Shanghai };
            is_sound(&template.object_key(&naming), text, prefix.as_ref(), id);
        }
    }
}

fn is_sound(object_key: &str, template: &str, prefix: Option<&Prefix>, id: UploadId) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    // In the last hour of the year 9999 it is 10000 in the East, which is five digits with a sign.
    assert!(object_key.bytes().all(|byte| allowed(byte) || byte == b'+'), "{object_key}");
    assert!(object_key.contains(&id.to_string()), "no two uploads share one: {object_key}");
    assert!(object_key.len() <= MAX_OBJECT_KEY_BYTES + 6, "{object_key}");
    let is_unsafe = |segment: &str| matches!(segment, "" | "." | "..");
    assert!(!object_key.split('/').any(is_unsafe), "{object_key}");
    if let Some(prefix) = prefix {
        assert!(object_key.contains(prefix.as_str()), "{object_key}");
        if template.starts_with("{prefix}/") {
            let below = object_key.strip_prefix(prefix.as_str()).unwrap();
            assert!(below.starts_with('/'), "{object_key}");
        }
    }
}
