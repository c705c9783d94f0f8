//! The bucket client, against stores in this process. No database.

mod cors;
mod reach;

use presign_gateway::buckets::BucketClient;
use presign_gateway::buckets::credentials::OpenBucket;
use presign_gateway::dev::object_store;
use presign_gateway::domain::binding::BindingSet;
use presign_gateway::domain::bucket::{Addressing, Alias, Bucket, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::ids::{BucketId, TenantId};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::egress::Egress;

use crate::support::canary;

const APP: &str = "https://app.example.com";

fn credential(name: &str) -> Credential {
    let secret_access_key = format!("secret-of-{name}-{}", uuid::Uuid::from_bytes(Randomness::System.bytes()));
    canary::watch(&secret_access_key);
    Credential { access_key_id: name.to_owned(), secret_access_key: secret_access_key.into(), session_token: None }
}

fn open(url: &str, bucket: &str, credential: Credential) -> OpenBucket {
    let now = Clock::System.now();
    let location = Location {
        endpoint: Endpoint::parse(url, &AllowedHosts::any()).unwrap(),
        region: Region::parse(object_store::REGION).unwrap(),
        bucket_name: BucketName::parse(bucket).unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    let bucket = Bucket {
        id: BucketId::generate(now, &Randomness::System),
        tenant_id: TenantId::generate(now, &Randomness::System),
        alias: Alias::default_alias(),
        is_default: true,
        location,
        enforced_bindings: BindingSet::default(),
        access_key_id: credential.access_key_id.clone(),
        credential_version: 1,
        created_at: now,
        updated_at: now,
        archived_at: None,
        revision: 1,
    };
    OpenBucket::new(bucket, credential)
}

fn anywhere() -> Egress {
    Egress::new(AllowedHosts::any())
}

fn client(open: &OpenBucket) -> BucketClient {
    BucketClient::new(open, &anywhere()).unwrap()
}
