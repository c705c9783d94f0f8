//! `/admin/v1/tenants/{tenant}/buckets/{alias}/rotate-credential`.

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::view::{BucketView, FindingView};
use crate::admin::{CredentialCheck, Rotation};
use crate::domain::bucket::Alias;
use crate::domain::credential::Credential;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;
use crate::http::envelope::SuccessBody;
use crate::http::error::ApiError;
use crate::http::extract::if_match::{IfMatch, Versioned};
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;

use crate::http::extract::operator::Operator;

/// A new credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateCredential {
    access_key_id: String,
    #[schema(value_type = String, format = Password, write_only)]
    secret_access_key: SecretString,
    /// Comes with temporary credentials.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    session_token: Option<SecretString>,
    /// Do not test it first, for example because the bucket cannot be reached from here.
    #[serde(default)]
    skip_check: bool,
}

/// The bucket with its new credential, and the results of its test.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialRotation)]
pub(super) struct RotationView {
    bucket: BucketView,
    findings: Vec<FindingView>,
}

/// Replace a bucket's credential after testing the new one. URLs signed by the old one work until they expire.
///
/// If a check of the new credential fails, the old one stays and the answer is 422. `skip_check`
/// stores it without a try. If the bucket changes in the meantime, the answer is 409.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/rotate-credential", tag = "buckets",
    operation_id = "rotate_credential", params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias"),
        ("if-match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = RotateCredential,
    responses((status = 200, description = "The bucket", body = SuccessBody<RotationView>)))]
pub(super) async fn rotate(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<RotateCredential>,
) -> Result<Versioned<RotationView>, ApiError> {
    let RotateCredential { access_key_id, secret_access_key, session_token, skip_check } = body;
    let credential = Credential { access_key_id, secret_access_key, session_token };
    let check = if skip_check { CredentialCheck::Skip } else { CredentialCheck::Try };
    let (slug, alias) = (Slug::parse(&tenant)?, Alias::parse(&alias)?);
    let Rotation { bucket, findings } =
        tenants.rotate_credential(&slug, &alias, credential, check, expected, &gateway.keyring).await?;
    let view = RotationView { bucket: BucketView::from(&bucket), findings: Page::whole(findings).view().items };
    Ok(Versioned { revision: bucket.revision, view })
}
