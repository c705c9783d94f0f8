//! `/v1`: apps' routes beside `/oss/presign`.

mod batch;
mod bindings;
mod complete;
mod delete;
mod download;
mod export;
mod find;
mod find_model;
mod find_unanalysed;
mod idempotency;
mod issue;
mod renew;
mod usage;

use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::presign::{Operation, Signer};
use reqwest::Method;
use serde_json::Value;

use crate::support::stack::{Answer, TestStack};

/// Says in alpha's name that an upload has arrived.
pub(crate) async fn complete(stack: &TestStack, id: &str, body: &Value) -> Answer {
    let url = format!("{}/v1/uploads/{id}/complete", stack.url);
    stack.call(Method::POST, url).bearer(&stack.demo.alpha.api_key).json(body).send().await
}

/// What is on record.
pub(crate) async fn state(stack: &TestStack, id: &str) -> String {
    let query = sqlx::query_scalar("SELECT state FROM uploads WHERE id = $1::uuid").bind(id);
    query.fetch_one(&mut stack.connect().await).await.unwrap()
}

/// The id that stands in an object key.
pub(crate) fn id_in(object_key: &str) -> String {
    object_key.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned()
}

/// An upload of alpha's, by the contract's own route: its id and its URL.
pub(crate) async fn issue(stack: &TestStack) -> (String, String) {
    let issued = stack.presign("ext=png&type=origin").await;
    (id_in(issued.object_key()), issued.url().to_owned())
}

/// Promises something of an upload after the fact.
pub(crate) async fn promise(stack: &TestStack, id: &str, assignments: &str) {
    let statement = format!("UPDATE uploads SET {assignments} WHERE id = $1::uuid");
    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).execute(&mut stack.connect().await).await.unwrap();
}

/// PUTs bytes into alpha's bucket by its own credential.
pub(crate) async fn put_by_credential(
    stack: &TestStack,
    object_key: &str,
    body: &str,
    headers: &[(&'static str, String)],
) {
    let location = Location {
        endpoint: Endpoint::parse(&stack.s3_url, &AllowedHosts::any()).unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        bucket_name: BucketName::parse(&stack.demo.alpha.bucket).unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    let credential = Credential {
        access_key_id: stack.demo.alpha.access_key_id.clone(),
        secret_access_key: stack.demo.alpha.secret_access_key.as_str().into(),
        session_token: None,
    };
    let put = Operation::Put { metadata: &[], headers };
    let url = Signer::new(&credential, &location).sign(put, object_key, 60, Clock::System.now());
    let mut request = stack.client.put(url.expose()).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}
