//! Bodies of `POST /v1/uploads` and of `/v1/uploads/batch`: read or refused, and what is read can be signed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::DateTime;
use presign_gateway::domain::binding::Metadata;
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::upload::UploadRequest;
use presign_gateway::http::fuzz;
use presign_gateway::presign::{Operation, Signer};
use presign_gateway::uploads::prepare::headers;
use serde_json::{Map, Value};

use super::told::assert_told;

pub fn judge(data: &[u8]) {
    let names = names(data);
    match fuzz::upload(data) {
        Err(error) => assert_told(&error, &names),
        Ok(request) => is_sound(&request),
    }
    match fuzz::batch(data) {
        Err(error) => assert_told(&error, &names),
        Ok(items) => {
            for item in items {
                match item {
                    Err(error) => assert_told(&error.within("uploads[0]"), &names),
                    Ok(request) => is_sound(&request),
                }
            }
        }
    }
}

/// The names in a body; of what is no JSON none is told.
fn names(data: &[u8]) -> Vec<String> {
    fn collect(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    names.push(name.clone());
                    collect(value, names);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    // What has an end too many is read up to there, so names may be told of what is no JSON as a whole.
    match serde_json::from_slice(data) {
        Ok(value) => collect(&value, &mut names),
        Err(_) => names.push(String::from_utf8_lossy(data).into_owned()),
    }
    names
}

fn is_sound(request: &UploadRequest) {
    let UploadRequest { file, bindings, metadata, expires_in_seconds, bucket } = request;
    assert_eq!(bindings.content_type, Some(file.ext.content_type()));
    assert!(bindings.size_bytes.is_none_or(|bytes| bytes <= 5 << 30));
    assert!(file.duration.is_none_or(|seconds| (0.0..=1e9).contains(&seconds.get())));
    assert!(metadata.pairs().len() <= Metadata::MAX_PAIRS);
    for (name, value) in metadata.pairs() {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)));
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value:?}");
    }

    // Written as JSON, it is read as the same; but what was encoded once would be encoded twice.
    let mut written = Map::new();
    let mut say = |name: &str, value: Option<Value>| value.map(|value| written.insert(name.to_owned(), value));
    say("ext", Some(file.ext.as_str().into()));
    say("type", file.kind.map(|kind| kind.as_str().into()));
    say("width", file.width.map(|pixels| pixels.get().into()));
    say("height", file.height.map(|pixels| pixels.get().into()));
    say("duration", file.duration.map(|seconds| seconds.get().into()));
    say("size", bindings.size_bytes.map(Value::from));
    say("sha256", bindings.sha256.map(|digest| digest.hex().into()));
    say("write_once", Some(bindings.write_once.into()));
    say("expires_in", expires_in_seconds.map(Value::from));
    say("bucket", bucket.as_ref().map(|alias| alias.as_str().into()));
    let plain = !metadata.pairs().values().any(|value| value.starts_with("=?"));
    let pairs = metadata.pairs().iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    say("metadata", plain.then(|| pairs.collect()));
    let read = fuzz::upload(Value::Object(written).to_string().as_bytes()).unwrap();
    if plain {
        assert_eq!(&read, request);
    }
    can_be_signed(request);
}

/// The metadata stands in the URL's query and nothing breaks out of it.
fn can_be_signed(request: &UploadRequest) {
    static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
        let location = Location {
            endpoint: Endpoint::parse("https://s3.example.com", &AllowedHosts::any()).unwrap(),
            region: Region::parse("auto").unwrap(),
            bucket_name: BucketName::parse("bucket").unwrap(),
            addressing: Addressing::Path,
            provider: Provider::Generic,
        };
        let secret_access_key = "secret".into();
        Signer::new(&Credential { access_key_id: "ID".to_owned(), secret_access_key, session_token: None }, &location)
    });
    let pairs = request.metadata.pairs();
    let metadata: Vec<(&str, Cow<'_, str>)> =
        pairs.iter().map(|(name, value)| (name.as_str(), Cow::from(value.as_str()))).collect();
    let headers = headers(&request.bindings);
    let operation = Operation::Put { metadata: &metadata, headers: &headers };
    let url = SIGNER.sign(operation, "a/b.jpg", 60, DateTime::from_timestamp(1_795_000_000, 0).unwrap());
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    let query = url.expose().strip_prefix("https://s3.example.com/bucket/a/b.jpg?").unwrap();
    let parameters: BTreeMap<&str, &str> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert!(parameters.iter().all(|(name, value)| name.bytes().chain(value.bytes()).all(unreserved)), "{query}");
    for (name, value) in pairs {
        let found = parameters[format!("x-amz-meta-{name}").as_str()];
        assert_eq!(percent_encoding::percent_decode_str(found).decode_utf8().unwrap(), value.as_str());
    }
    assert_eq!(parameters.len(), 8 + pairs.len(), "{query}");
}
