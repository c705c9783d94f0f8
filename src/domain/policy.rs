//! A tenant's policy: which uploads are allowed, how long URLs live, and how object keys look.
//!
//! The defaults are here, among them the 300 seconds that a URL lives.

use serde::{Deserialize, Deserializer, Serialize};

use super::Invalid;
use super::binding::BindingSet;
use super::extension::ExtensionSet;
use super::object_key::Template;
use super::tenant::{Expiry, MAX_SIZE_BYTES, TimeZone};

/// Passes every field of a policy to the macro `$then`. This is the only list of them in Rust.
///
/// An entry is `name: type as JSON type = default;`. `$then` generates what a layer needs: here the
/// types, in `http::admin` the request bodies, in `admin::view` the response. The JSON type and
/// `#[schema]` are for OpenAPI. Each field is stored in the column of its name (`store::tenants`).
macro_rules! policy_fields {
    ($then:ident) => {
        $then! {
            /// Extensions that may be uploaded; all of them by default.
            #[schema(example = json!(["jpg", "png", "mp4"]))]
            allowed_extensions: $crate::domain::extension::ExtensionSet as Vec<String> = ExtensionSet::all();
            /// Maximum object size, checked if a request declares a size. Without it the bucket decides.
            max_size_bytes: Option<u64> as Option<u64> = None;
            /// Bindings that every URL must have: `size`, `content_type`, `sha256`, `write_once`; nothing by default. If there is
            /// anything, `/oss/presign` is rejected, because its URLs are bare.
            #[schema(example = json!(["size"]))]
            required_bindings: $crate::domain::binding::BindingSet as Vec<String> = BindingSet::default();
            /// Whether the gateway checks that an upload arrived once its URL has expired; false by default.
            verify_arrival: bool as bool = false;
            /// How long a URL lives if the request does not say; 300 by default.
            default_expiry_seconds: u32 as u32 = Self::DEFAULT_EXPIRY_SECONDS;
            /// How long a URL may live at most; 3600 by default.
            longest_expiry_seconds: u32 as u32 = Self::DEFAULT_MAX_EXPIRY_SECONDS;
            /// Pattern of object keys, of `{prefix} {yyyy} {mm} {dd} {uuid} {ext} {kind}` and text; it must hold `{uuid}`.
            #[schema(example = "{yyyy}/{mm}/{dd}/{uuid}.{ext}")]
            object_key_template: String as String = Template::CONTRACT.to_owned();
            /// The value of the template's `{prefix}`.
            object_key_prefix: Option<$crate::domain::object_key::Prefix> as Option<String> = None;
            /// IANA time zone of the date in object keys; UTC by default.
            #[schema(example = "Asia/Shanghai")]
            time_zone: $crate::domain::tenant::TimeZone as String = TimeZone::default();
        }
    };
}
pub(crate) use policy_fields;

macro_rules! define {
    ($(
        $(#[doc = $doc:literal])*
        $(#[schema($($schema:tt)*)])?
        $field:ident: $Type:ty as $Json:ty = $default:expr;
    )*) => {
        /// What a tenant's uploads may be, and how their object keys look. Its JSON is how it is shown and stored.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(try_from = "PolicyChanges")]
        pub struct Policy {
            $($(#[doc = $doc])* pub $field: $Type,)*
            /// `object_key_template` with `object_key_prefix` filled in.
            #[serde(skip)]
            template: Template,
        }

        /// Changes of a policy: `None` keeps a value, `Some(None)` removes it.
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct PolicyChanges {
            $(#[serde(deserialize_with = "present")] pub $field: Option<$Type>,)*
        }

        impl Policy {
            /// The policy of a new tenant for which nothing else is said: every extension, the contract's object keys.
            ///
            /// # Errors
            /// None: all of it is valid.
            pub fn default_policy() -> Result<Self, Invalid> {
                Ok(Self { $($field: $default,)* template: Template::parse(Template::CONTRACT, None)? })
            }

            /// Applies the changes and returns the names of the fields that differ.
            ///
            /// # Errors
            /// A value is out of range, or two values contradict each other. Then nothing changes.
            pub fn apply(&mut self, changes: PolicyChanges) -> Result<Vec<&'static str>, Invalid> {
                let mut policy = self.clone();
                let mut changed = Vec::new();
                $(if let Some(value) = changes.$field && value != policy.$field {
                    policy.$field = value;
                    changed.push(stringify!($field));
                })*
                *self = policy.checked()?;
                Ok(changed)
            }
        }

        impl TryFrom<PolicyChanges> for Policy {
            type Error = Invalid;

            /// Makes a policy of all its values. A default would hide that one is not stored.
            fn try_from(values: PolicyChanges) -> Result<Self, Invalid> {
                $(if values.$field.is_none() {
                    return Err(Invalid::new(stringify!($field), "is missing"));
                })*
                let mut policy = Self::default_policy()?;
                policy.apply(values)?;
                Ok(policy)
            }
        }
    };
}

policy_fields!(define);

impl Policy {
    /// The default lifetime of a URL, in seconds.
    pub const DEFAULT_EXPIRY_SECONDS: u32 = 300;
    /// The default maximum lifetime of a URL, in seconds.
    pub const DEFAULT_MAX_EXPIRY_SECONDS: u32 = 3600;

    /// How long URLs live.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        Expiry { default_seconds: self.default_expiry_seconds, longest_seconds: self.longest_expiry_seconds }
    }

    /// The template of object keys.
    #[must_use]
    pub const fn template(&self) -> &Template {
        &self.template
    }

    /// Checks rules that types do not express: ranges, and fields that depend on each other.
    fn checked(mut self) -> Result<Self, Invalid> {
        Expiry::new(self.default_expiry_seconds, self.longest_expiry_seconds)?;
        self.template = Template::parse(&self.object_key_template, self.object_key_prefix.as_ref())?;
        if self.max_size_bytes.is_some_and(|bytes| !(1..=MAX_SIZE_BYTES).contains(&bytes)) {
            return Err(Invalid::new("max_size_bytes", format!("must be 1 to {MAX_SIZE_BYTES}")));
        }
        Ok(self)
    }
}

impl PolicyChanges {
    /// Lowers the default expiry of a new tenant to its maximum, if only the maximum is given.
    #[must_use]
    pub fn for_a_new_tenant(self) -> Self {
        let default_seconds = self.longest_expiry_seconds.map(|longest| longest.min(Policy::DEFAULT_EXPIRY_SECONDS));
        Self { default_expiry_seconds: self.default_expiry_seconds.or(default_seconds), ..self }
    }
}

/// Reads a field that is there: `null` is a value, and only an `Option` takes it.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
