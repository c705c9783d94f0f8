//! The queries that look for uploads: one set of filters for every route that has them.

/// Makes a query of the filters, and of fields of the route's own.
macro_rules! search_query {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(in crate::http) struct $name {
            $($(#[$field_meta])* $field: $type,)*
            /// Issued from this time on: `2026-11-22T18:00:00Z`, or a day; to the millisecond. Name it where you can: months
            /// before it are not touched.
            #[param(example = "2026-11-01")]
            from: Option<String>,
            /// Issued before this time.
            to: Option<String>,
            /// `thumb`, `origin` or `video`.
            #[serde(rename = "type")]
            kind: Option<String>,
            /// An extension, such as `jpg`.
            ext: Option<String>,
            /// `issued`, `uploaded`, `mismatched`, `expired` or `deleted`.
            state: Option<String>,
            /// A whole object key, or how it begins. Folders that end with a UUID need their slash.
            key: Option<String>,
            /// The `sub` of the JWT that asked for it.
            subject: Option<String>,
            /// The public id of the API key that asked for it.
            api_key: Option<String>,
            /// The alias of the bucket that it goes to.
            bucket: Option<String>,
            /// Pixels, 1 to 2147483647.
            #[param(value_type = Option<i32>)]
            min_width: Option<String>,
            /// Pixels, 1 to 2147483647.
            #[param(value_type = Option<i32>)]
            max_width: Option<String>,
            /// Pixels, 1 to 2147483647.
            #[param(value_type = Option<i32>)]
            min_height: Option<String>,
            /// Pixels, 1 to 2147483647.
            #[param(value_type = Option<i32>)]
            max_height: Option<String>,
            /// Seconds, 0 to 1000000000.
            #[param(value_type = Option<f64>)]
            min_duration: Option<String>,
            /// Seconds, 0 to 1000000000.
            #[param(value_type = Option<f64>)]
            max_duration: Option<String>,
            /// Bytes: as seen in the bucket, or as promised where it was not seen.
            #[param(value_type = Option<i64>)]
            min_size: Option<String>,
            /// Bytes: as seen in the bucket, or as promised where it was not seen.
            #[param(value_type = Option<i64>)]
            max_size: Option<String>,
            /// `newest` first, or `oldest` first; newest, where left out.
            order: Option<String>,
        }

        impl $name {
            /// Takes the filters out; the route's own fields stay.
            fn terms(&mut self) -> crate::domain::search::SearchTerms {
                crate::domain::search::SearchTerms {
                    from: self.from.take(),
                    to: self.to.take(),
                    kind: self.kind.take(),
                    ext: self.ext.take(),
                    state: self.state.take(),
                    object_key: self.key.take(),
                    subject: self.subject.take(),
                    api_key: self.api_key.take(),
                    bucket: self.bucket.take(),
                    min_width: self.min_width.take(),
                    max_width: self.max_width.take(),
                    min_height: self.min_height.take(),
                    max_height: self.max_height.take(),
                    min_duration: self.min_duration.take(),
                    max_duration: self.max_duration.take(),
                    min_size: self.min_size.take(),
                    max_size: self.max_size.take(),
                    order: self.order.take(),
                }
            }
        }
    };
}

pub(super) use search_query;
