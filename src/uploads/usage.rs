//! How much was issued, as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::usage::{Usage, UsageBy, UsageItem, UsageSum};

/// How much was issued.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageView {
    /// Uploads issued at or after this time,
    pub from: DateTime<Utc>,
    /// and before this one.
    pub to: DateTime<Utc>,
    /// The dimension of `items`; null without `by`.
    #[schema(example = "type")]
    pub by: Option<&'static str>,
    /// Each upload is counted in one of these. Empty groups are omitted.
    pub items: Vec<UsageItemView>,
    pub total: UsageSumView,
}

/// One part of the usage.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = UsageItem)]
pub struct UsageItemView {
    /// The type (`none` for uploads without one), state, extension, API key's public id (or `jwt` or `anonymous`), or tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "origin")]
    pub value: Option<String>,
    /// By day: when it begins. The first and the last may be there in part, as `from` and `to` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub sum: UsageSumView,
}

/// Uploads and their bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = UsageSum)]
pub struct UsageSumView {
    /// How many were issued.
    pub uploads: i64,
    /// Bytes, as declared, of those that declared a size.
    pub promised_bytes: i64,
    /// Bytes, as seen in the bucket, of those that are there.
    pub stored_bytes: i64,
}

impl From<&Usage> for UsageView {
    fn from(usage: &Usage) -> Self {
        let Usage { range, by, items, total } = usage;
        let by = by.map(UsageBy::as_str);
        Self { from: range.from, to: range.to, by, items: items.iter().map(From::from).collect(), total: total.into() }
    }
}

impl From<&UsageItem> for UsageItemView {
    fn from(item: &UsageItem) -> Self {
        Self { value: item.value.clone(), start: item.start, sum: (&item.sum).into() }
    }
}

impl From<&UsageSum> for UsageSumView {
    fn from(sum: &UsageSum) -> Self {
        Self { uploads: sum.uploads, promised_bytes: sum.promised_bytes, stored_bytes: sum.stored_bytes }
    }
}
