//! Answers of a store, whatever they are: the SDK reads them, and our words for them say nothing of a foreign body.

use std::sync::{Arc, Mutex};

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use chrono::DateTime;
use presign_gateway::buckets::credentials::OpenBucket;
use presign_gateway::buckets::{BucketClient, BucketError};
use presign_gateway::domain::binding::BindingSet;
use presign_gateway::domain::bucket::{Addressing, Alias, Bucket, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::ids::{BucketId, TenantId};
use presign_gateway::telemetry::metrics::Metrics;
use uuid::Uuid;

/// A status, header lines, an empty line, a body.
#[derive(Debug)]
struct Canned(Mutex<Option<HttpResponse>>);

impl HttpConnector for Canned {
    /// Once: there are no retries.
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let response = self.0.lock().unwrap().take();
        HttpConnectorFuture::ready(Ok(response.unwrap()))
    }
}

fn response(data: &[u8]) -> Option<HttpResponse> {
    let (status, rest) = data.split_first_chunk::<3>()?;
    let status: u16 = str::from_utf8(status).ok()?.parse().ok()?;
    let (mut headers, mut rest) = (Vec::new(), rest);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at(end);
        rest = &behind[1..];
        if line.is_empty() && !headers.is_empty() {
            break;
        }
        if let Some((name, value)) = str::from_utf8(line).ok().and_then(|line| line.split_once(':')) {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let mut response = HttpResponse::new(status.try_into().ok()?, SdkBody::from(rest.to_vec()));
    for (name, value) in headers {
        let _ = response.headers_mut().try_append(name, value);
    }
    Some(response)
}

fn client(data: &[u8]) -> Option<BucketClient> {
    let canned = SharedHttpConnector::new(Canned(Mutex::new(Some(response(data)?))));
    let http_client: SharedHttpClient = http_client_fn(move |_, _| canned.clone());
    let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    let location = Location {
        endpoint: Endpoint::parse("http://s3.example.com", &AllowedHosts::any()).unwrap(),
        region: Region::parse("auto").unwrap(),
        bucket_name: BucketName::parse("bucket").unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    let bucket = Bucket {
        id: BucketId::from(Uuid::from_u128(1)),
        tenant_id: TenantId::from(Uuid::from_u128(2)),
        alias: Alias::default_alias(),
        is_default: true,
        location,
        enforced_bindings: BindingSet::default(),
        access_key_id: "ID".to_owned(),
        credential_version: 1,
        created_at: at,
        updated_at: at,
        archived_at: None,
        revision: 1,
    };
    let secret_access_key = "secret".into();
    let credential = Credential { access_key_id: "ID".to_owned(), secret_access_key, session_token: None };
    let open = Arc::new(OpenBucket::new(bucket, credential));
    Some(BucketClient::over(http_client, &open, std::time::Duration::from_secs(5), Metrics::off().bucket()))
}

pub fn judge(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let Some(client) = client(data) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        match which % 4 {
            0 => match client.head("a", which & 4 == 0).await {
                Err(error) => is_told(&error),
                Ok(facts) => {
                    assert!(i64::try_from(facts.size_bytes).is_ok(), "no size that Postgres would not take");
                    for text in [facts.etag, facts.content_type, facts.width].into_iter().flatten() {
                        assert!(!text.contains(['\0', '\n', '\r']), "{text:?}");
                    }
                }
            },
            1 => client.exists().await.map_or_else(|error| is_told(&error), drop),
            2 => client.delete("a").await.unwrap_or_else(|error| is_told(&error)),
            _ => match client.cors_rules().await {
                Err(error) => is_told(&error),
                Ok(rules) => assert!(rules.len() < 100_000),
            },
        }
    });
}

/// A code of the store's, or words of our own.
fn is_told(error: &BucketError) {
    let code = &error.code;
    assert!((1..=64).contains(&code.len()), "{code}");
    assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' '), "{code}");
}
