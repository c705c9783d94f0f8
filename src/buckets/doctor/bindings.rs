//! Checks that the store enforces bindings: the doctor sends PUTs that violate them and expects an
//! error.

use chrono::{DateTime, Utc};
use reqwest::{Client, StatusCode};

use crate::buckets::credentials::OpenBucket;
use crate::domain::binding::{Binding, Sha256};
use crate::presign::Operation;

use super::{BODY, EXPIRY_SECONDS, Finding, OPERATION_TIMEOUT};

/// Checks bindings that not every store enforces; `object_key` is an existing object.
pub(super) async fn check(client: &Client, open: &OpenBucket, object_key: &str, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Of other bytes than the ones that are sent.
    let digest = Sha256::from([0; 32]).base64();
    for (binding, check, header) in [
        (Binding::WriteOnce, "PUT it twice, bound to write_once", ("if-none-match", "*".to_owned())),
        (Binding::Sha256, "PUT bytes that do not match a bound digest", ("x-amz-checksum-sha256", digest)),
    ] {
        let refused = is_refused(client, open, object_key, now, header).await;
        findings.extend(refused.map(|refused| finding(check, binding, refused, open.bucket.enforces(binding))));
    }
    findings
}

/// Whether the store rejects a PUT that violates this binding; `None` if its response is
/// inconclusive.
async fn is_refused(
    client: &Client,
    open: &OpenBucket,
    object_key: &str,
    now: DateTime<Utc>,
    header: (&'static str, String),
) -> Option<bool> {
    let headers = [header];
    let operation = Operation::Put { metadata: &[], headers: &headers };
    let url = open.signer.sign(operation, object_key, EXPIRY_SECONDS, now);
    let [(name, value)] = headers;
    let put = client.put(url.expose()).timeout(OPERATION_TIMEOUT).header(name, value).body(BODY).send().await.ok()?;
    match put.status() {
        status if status.is_success() => Some(false),
        // A store that does not know the field at all may find the signature wrong, or the request not implemented.
        StatusCode::FORBIDDEN | StatusCode::NOT_IMPLEMENTED => Some(false),
        status if status.is_client_error() => Some(true),
        _ => None,
    }
}

fn finding(check: &'static str, binding: Binding, enforced: bool, declared: bool) -> Finding {
    let word = binding.as_str();
    match (enforced, declared) {
        (true, true) => Finding::good(check, "rejected, as required"),
        (false, false) => Finding::fair(
            check,
            "not rejected",
            format!("nothing to do: the gateway rejects uploads that ask for {word}"),
        ),
        (true, false) => Finding::fair(
            check,
            "rejected, as required",
            format!("to allow {word}, add it with `bucket update --enforced-bindings`"),
        ),
        (false, true) => Finding::bad(
            check,
            "not rejected: the store does not enforce it",
            format!("remove {word} with `bucket update --enforced-bindings`: the store does not enforce it"),
        ),
    }
}
