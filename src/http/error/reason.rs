//! Every reason of an error response: its stable word, its status, its text in Chinese and English.
//!
//! `{}` in a text is replaced by the detail.

use axum::http::StatusCode;

pub use crate::domain::language::Language;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $word:literal $status:ident $chinese:literal $english:literal;)*) => {
        /// Why a request was not served.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $variant),* }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its stable word, for programs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),* }
            }

            /// Its text, for people.
            #[must_use]
            pub const fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$variant, Language::Chinese) => $chinese, (Self::$variant, Language::English) => $english),*
                }
            }
        }
    };
}

reasons! {
    /// The contract's own text.
    InvalidExt "invalid_ext" BAD_REQUEST
        "仅支持图片（jpg、jpeg、png、webp、gif）和视频（mp4、webm）格式"
        "Only images (jpg, jpeg, png, webp, gif) and videos (mp4, webm) are supported";
    ExtNotAllowed "ext_not_allowed" BAD_REQUEST
        "参数 ext 有误：此应用仅支持 {}"
        "Parameter ext is invalid: this app allows only {}";
    InvalidWidth "invalid_width" BAD_REQUEST
        "参数 width 有误：必须是 1 到 2147483647 的整数"
        "Parameter width is invalid: it must be a whole number from 1 to 2147483647";
    InvalidHeight "invalid_height" BAD_REQUEST
        "参数 height 有误：必须是 1 到 2147483647 的整数"
        "Parameter height is invalid: it must be a whole number from 1 to 2147483647";
    InvalidDuration "invalid_duration" BAD_REQUEST
        "参数 duration 有误：必须是 0 到 1000000000 的秒数，支持小数"
        "Parameter duration is invalid: it must be a number of seconds from 0 to 1000000000, decimals allowed";
    InvalidType "invalid_type" BAD_REQUEST
        "参数 type 有误：必须是 thumb、origin 或 video"
        "Parameter type is invalid: it must be thumb, origin or video";
    RepeatedParameter "repeated_parameter" BAD_REQUEST
        "参数 {} 只能出现一次"
        "Parameter {} must not be repeated";
    Unauthenticated "unauthenticated" UNAUTHORIZED
        "身份验证失败：请提供有效的 API key 或 JWT"
        "Authentication failed: send a valid API key or JWT";
    TenantSuspended "tenant_suspended" FORBIDDEN
        "此应用已被停用"
        "This app is suspended";
    ScopeMissing "scope_missing" FORBIDDEN
        "权限不足：缺少 {}"
        "Not permitted: the scope {} is missing";
    OperatorNotAllowed "operator_not_allowed" FORBIDDEN
        "运维密钥不能用于上传"
        "Operator keys cannot issue uploads: use an API key of the app";
    OperatorRequired "operator_required" FORBIDDEN
        "仅限运维密钥"
        "Only operators may do this: use an operator key";
    MalformedBody "malformed_body" BAD_REQUEST
        "请求体不是有效的 JSON：{}"
        "The body is not valid JSON: {}";
    InvalidField "invalid_field" BAD_REQUEST
        "字段有误：{}"
        "{}";
    UnknownField "unknown_field" BAD_REQUEST
        "未知字段：{}"
        "Unknown field {}";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "请使用 Content-Type: application/json"
        "Send JSON, with Content-Type: application/json";
    ResourceNotFound "resource_not_found" NOT_FOUND
        "不存在：{}"
        "No such {}";
    AlreadyExists "already_exists" CONFLICT
        "已存在：{}"
        "This {} already exists";
    Conflict "conflict" CONFLICT
        "当前状态不允许：{}"
        "Not possible in the current state: {}";
    RevisionConflict "revision_conflict" PRECONDITION_FAILED
        "已被他人修改：当前 ETag 为 {}"
        "The resource has changed since you read it: its ETag is {}";
    CredentialFailed "credential_failed" UNPROCESSABLE_ENTITY
        "凭证测试失败：{}"
        "The credential failed its test: {}";
    BucketFailed "bucket_failed" BAD_GATEWAY
        "存储桶返回错误：{}"
        "The bucket's store returned an error: {}";
    BindingRequired "binding_required" BAD_REQUEST
        "此应用要求上传必须绑定：{}（请使用 POST /v1/uploads）"
        "This app's uploads must be bound to: {} (POST /v1/uploads takes these fields)";
    BindingNotEnforced "binding_not_enforced" BAD_REQUEST
        "存储桶无法保证 {}"
        "The bucket's store does not enforce {}: omit it, or use another bucket";
    NotArrived "not_arrived" CONFLICT
        "文件尚未上传"
        "The file has not arrived in the bucket";
    AlreadyArrived "already_arrived" CONFLICT
        "文件已上传：{}"
        "The file of upload {} has already arrived: no new URL is signed";
    UploadDeleted "upload_deleted" CONFLICT
        "文件已删除"
        "The file was deleted";
    IdempotencyMismatch "idempotency_mismatch" CONFLICT
        "此 Idempotency-Key 已用于另一个请求"
        "This Idempotency-Key was used for another request: use a new one";
    BucketPermission "bucket_permission" BAD_GATEWAY
        "存储桶凭证缺少权限：{}"
        "The bucket's credential lacks a permission: {}";
    BucketUnavailable "bucket_unavailable" SERVICE_UNAVAILABLE
        "存储桶暂时不可用，请稍后重试"
        "The bucket is temporarily unavailable: try again";
    Busy "busy" SERVICE_UNAVAILABLE
        "同类请求过多，请稍后重试"
        "Too many requests of this kind are in progress: try again";
    NotFound "not_found" NOT_FOUND
        "路径不存在"
        "No such path";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED
        "不支持此请求方法"
        "Method not allowed: see the Allow header";
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE
        "请求体过大：最多 {} 字节"
        "The body is too large: at most {} bytes";
    QueryTooLong "query_too_long" URI_TOO_LONG
        "查询字符串过长：最多 {} 字节"
        "The query is too long: at most {} bytes";
    RateLimited "rate_limited" TOO_MANY_REQUESTS
        "请求过于频繁，请稍后重试"
        "Too many requests: wait for the time in Retry-After";
    TooManyFailures "too_many_failures" TOO_MANY_REQUESTS
        "身份验证失败次数过多，请稍后重试"
        "Too many failed authentications from this address: wait for the time in Retry-After";
    Internal "internal" INTERNAL_SERVER_ERROR
        "服务器内部错误"
        "Internal error";
    Unavailable "unavailable" SERVICE_UNAVAILABLE
        "服务暂时不可用，请稍后重试"
        "The service is temporarily unavailable: try again";
    TenantNotReady "tenant_not_ready" SERVICE_UNAVAILABLE
        "此应用尚未配置存储桶"
        "This app has no bucket yet: its operator must set one";
    NotReady "not_ready" SERVICE_UNAVAILABLE
        "尚未就绪：{}"
        "Not ready: {}";
}
