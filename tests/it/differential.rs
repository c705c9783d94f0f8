//! Our URLs against those of other languages' SDKs: botocore (Python) and `@aws-sdk/s3-request-presigner` (JavaScript).
//!
//! Here are the vectors that the two have made, which need neither. `tests/differential/run` asks the SDKs themselves, about
//! thousands of new cases; it has our own URLs from this file too.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::presign::{Operation, Signer};
use serde::Deserialize;

/// One request to sign, as `tests/differential/cases.py` writes it; what it does not have may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Case {
    /// `PUT` or `GET`.
    method: String,
    endpoint: String,
    region: String,
    bucket: String,
    virtual_hosted: bool,
    #[serde(rename = "key")]
    object_key: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires: u32,
    /// Seconds since 1970.
    time: i64,
    metadata: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    content_disposition: Option<String>,
    content_type: Option<String>,
    /// What the SDKs made of it, in the vectors.
    url: String,
}

impl Case {
    fn url(&self) -> String {
        let location = Location {
            endpoint: Endpoint::parse(&self.endpoint, &AllowedHosts::any()).unwrap(),
            region: Region::parse(&self.region).unwrap(),
            bucket_name: BucketName::parse(&self.bucket).unwrap(),
            addressing: if self.virtual_hosted { Addressing::VirtualHosted } else { Addressing::Path },
            provider: Provider::Generic,
        };
        let credential = Credential {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.as_str().into(),
            session_token: self.session_token.as_deref().map(Into::into),
        };
        let metadata: Vec<_> =
            self.metadata.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str()))).collect();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (bound(name), value.clone())).collect();
        let operation = match self.method.as_str() {
            "PUT" => Operation::Put { metadata: &metadata, headers: &headers },
            _ => Operation::Get {
                content_disposition: self.content_disposition.as_deref(),
                content_type: self.content_type.as_deref(),
            },
        };
        let now = DateTime::<Utc>::from_timestamp(self.time, 0).unwrap();
        let url = Signer::new(&credential, &location).sign(operation, &self.object_key, self.expires, now);
        url.reveal()
    }
}

/// A header field that uploads are bound to.
fn bound(name: &str) -> &'static str {
    let known = ["content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"];
    known.into_iter().find(|known| *known == name).unwrap()
}

fn lines(file: &Path) -> impl Iterator<Item = String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn case(line: &str) -> Case {
    serde_json::from_str(line).unwrap()
}

#[test]
fn our_urls_are_those_that_botocore_and_the_javascript_sdk_made() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/vectors.jsonl");
    let mut vectors = lines(&file);
    let made_by = vectors.next().unwrap();
    assert!(made_by.contains("botocore ") && made_by.contains("@aws-sdk/s3-request-presigner "), "{made_by}");
    let vectors: Vec<Case> = vectors.map(|line| case(&line)).collect();
    assert!(vectors.len() >= 300, "only {}", vectors.len());
    for vector in vectors {
        assert_eq!(vector.url(), vector.url, "{vector:?}");
    }
}

/// Our part in `tests/differential/run`, which names a folder: the URLs of the cases in it.
#[test]
fn cases_of_a_folder_are_signed() {
    let Some(folder) = std::env::var_os("PRESIGN_DIFFERENTIAL").map(PathBuf::from) else { return };
    let mut text = String::new();
    for line in lines(&folder.join("cases.jsonl")) {
        text.push_str(&serde_json::to_string(&case(&line).url()).unwrap());
        text.push('\n');
    }
    std::fs::write(folder.join("ours.jsonl"), text).unwrap();
}
