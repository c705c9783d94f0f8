//! What is written so that it can be read back: URLs, cursors, sealed secrets. Each against a definition that is not the code's own.

use std::borrow::Cow;

use chrono::DateTime;
use presign_gateway::crypto::cipher::{AssociatedData, Cipher};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::page::PageRequest;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::domain::search::{Order, Position, Search, UploadFilter};
use presign_gateway::presign::{Operation, Signer};
use proptest::prelude::*;
use uuid::Uuid;

/// RFC 3986, sections 2.1 and 2.3, byte by byte; `also` are those that have a meaning where the text stands.
fn by_the_book(text: &str, also: &str) -> String {
    let unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    let mut written = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        if unreserved.contains(letter) || also.contains(letter) {
            written.push(letter);
        } else {
            written.extend(format!("%{byte:02X}").chars());
        }
    }
    written
}

fn signed(operation: Operation<'_>, object_key: &str, session_token: Option<&str>) -> String {
    let location = Location {
        endpoint: Endpoint::parse("https://s3.example.com", &AllowedHosts::any()).unwrap(),
        region: Region::parse("auto").unwrap(),
        bucket_name: BucketName::parse("bucket").unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    let (secret_access_key, session_token) = ("secret".into(), session_token.map(Into::into));
    let credential = Credential { access_key_id: "ID".to_owned(), secret_access_key, session_token };
    let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    Signer::new(&credential, &location).sign(operation, object_key, 60, now).reveal()
}

/// A parameter as it is written.
fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, query) = url.split_once('?').unwrap();
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

proptest! {
    #[test]
    fn what_stands_in_a_url_is_encoded_as_the_rfc_has_it(
        object_key in any::<String>(),
        value in any::<String>(),
        token in any::<String>(),
        disposition in any::<String>(),
    ) {
        let metadata = [("note", Cow::from(value.as_str()))];
        let put = Operation::Put { metadata: &metadata, headers: &[] };
        let put = signed(put, &object_key, Some(&token));
        let path = put.strip_prefix("https://s3.example.com/bucket/").unwrap().split_once('?').unwrap().0;
        prop_assert_eq!(path, by_the_book(&object_key, "/"));
        prop_assert_eq!(parameter(&put, "x-amz-meta-note"), by_the_book(&value, ""));
        prop_assert_eq!(parameter(&put, "X-Amz-Security-Token"), by_the_book(&token, ""));
        let get = Operation::Get { content_disposition: Some(&disposition), content_type: None };
        let get = signed(get, &object_key, None);
        prop_assert_eq!(parameter(&get, "response-content-disposition"), by_the_book(&disposition, ""));
    }

    #[test]
    fn a_cursor_leads_back_to_its_place_in_its_own_list_only(
        after in any::<u128>(),
        until in prop::option::of(any::<u128>()),
        tenants in prop::array::uniform2(prop::option::of(any::<u128>())),
        subjects in prop::array::uniform2(prop::option::of("[^\\p{Cc}]{1,20}")),
    ) {
        let [tenant, other_tenant] = tenants.map(|id| id.map(|id| TenantId::from(Uuid::from_u128(id))));
        let [subject, other_subject] = &subjects;
        let search = |subject: &Option<String>, cursor: Option<&str>| {
            let filter = UploadFilter::parse(|name| subject.as_deref().filter(|_| name == "subject")).unwrap();
            Search::new(filter, Order::Newest, cursor, None).unwrap()
        };
        let id = |bits| UploadId::from(Uuid::from_u128(bits));
        let place = Position { after: id(after), until: until.map(id) };
        let cursor = search(subject, None).cursor(tenant, place);
        prop_assert_eq!(search(subject, Some(&cursor)).place(tenant), Ok(Some(place)));
        if other_subject != subject {
            prop_assert!(search(other_subject, Some(&cursor)).place(tenant).is_err());
        }
        if other_tenant != tenant {
            prop_assert!(search(subject, Some(&cursor)).place(other_tenant).is_err());
        }
    }

    #[test]
    fn any_place_is_read_as_it_was_written(place in any::<String>()) {
        let cursor = PageRequest::cursor(&place);
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let after = PageRequest::new(Some(&cursor), None).unwrap().after(|text| Some(text.to_owned()));
        prop_assert_eq!(after, Ok(Some(place)));
    }

    #[test]
    fn sealed_secret_needs_the_exact_key_and_row(
        text in ".{0,100}",
        bits in (0..32usize, 0..8u32),
        row_bit in 0..128u32,
        version_bit in 0..32u32,
        sealed_bit in any::<prop::sample::Index>(),
    ) {
        let key = SealingKey::parse("a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let cipher = Cipher::new(&key.bytes);
        let place = AssociatedData { table: "buckets", row: Uuid::from_u128(1), column: "sealed_session_token", version: 1 };
        let sealed = cipher.seal(place, &text.into());
        prop_assert!(cipher.open(place, &sealed).is_ok());

        let mut other = *key.bytes;
        other[bits.0] ^= 1 << bits.1;
        prop_assert!(Cipher::new(&other).open(place, &sealed).is_err());
        let other_row = AssociatedData { row: Uuid::from_u128(1 ^ (1 << row_bit)), ..place };
        let other_version = AssociatedData { version: 1 ^ (1 << version_bit), ..place };
        prop_assert!(cipher.open(other_row, &sealed).is_err() && cipher.open(other_version, &sealed).is_err());
        let mut changed = sealed.clone();
        let bit = sealed_bit.index(sealed.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(cipher.open(place, &changed).is_err());
    }
}
