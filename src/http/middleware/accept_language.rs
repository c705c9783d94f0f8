//! Which language a client reads: `Accept-Language` (RFC 9110, section 12.5.4), else what the route's clients expect.

use axum::http::{HeaderMap, header};

use crate::http::error::reason::Language;

/// `/oss/*` speaks Chinese unless asked otherwise, since its clients always knew it so; the rest English.
pub(in crate::http) fn of(path: &str, headers: &HeaderMap) -> Language {
    let default = if path.starts_with("/oss/") { Language::Chinese } else { Language::English };
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    best(accepted).unwrap_or(default)
}

fn best(accepted: &str) -> Option<Language> {
    let ranges = accepted.split(',').filter_map(range);
    // The first of the highest quality.
    ranges
        .fold(
            None,
            |best: Option<(Language, f32)>, next| {
                if best.is_none_or(|(_, quality)| next.1 > quality) { Some(next) } else { best }
            },
        )
        .map(|(language, _)| language)
}

fn range(text: &str) -> Option<(Language, f32)> {
    let (tag, parameters) = text.split_once(';').unwrap_or((text, ""));
    let language = match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
        "zh" => Language::Chinese,
        "en" => Language::English,
        _ => return None,
    };
    let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.trim().parse().ok())?;
    (quality > 0.0).then_some((language, quality))
}
