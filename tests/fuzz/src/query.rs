//! Queries of `GET /oss/presign` and `GET /v1/uploads`.

use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::search::{Order, Position, PublicId, Search, Subject};
use presign_gateway::http::fuzz;
use uuid::Uuid;

use super::told::assert_told;

pub fn judge(data: &[u8]) {
    let Ok(query) = str::from_utf8(data) else { return };
    let names: Vec<String> = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    presign(query, &names);
    list(query, &names);
}

fn presign(query: &str, names: &[String]) {
    match fuzz::presign(query) {
        Err(error) => assert_told(&error, names),
        Ok(request) => {
            let file = &request.file;
            let mut written = form_urlencoded::Serializer::new(String::new());
            written.append_pair("ext", file.ext.as_str());
            for (name, value) in [
                ("width", file.width.map(|pixels| pixels.get().to_string())),
                ("height", file.height.map(|pixels| pixels.get().to_string())),
                ("duration", file.duration.map(|seconds| seconds.get().to_string())),
                ("type", file.kind.map(|kind| kind.as_str().to_owned())),
            ] {
                if let Some(value) = value {
                    written.append_pair(name, &value);
                }
            }
            assert_eq!(fuzz::presign(&written.finish()), Ok(request), "what was read is written and read again");
        }
    }
}

fn list(query: &str, names: &[String]) {
    match fuzz::list(query) {
        Err(error) => assert_told(&error, names),
        Ok(search) => {
            let subject = search.filter.subject.as_ref().map(Subject::as_str);
            let texts = [subject, search.filter.api_key.as_ref().map(PublicId::as_str)];
            let object_key = search.filter.object_key.as_ref().map(|term| term.text.as_str());
            for text in texts.into_iter().chain([object_key]).flatten() {
                assert!(!text.chars().any(char::is_control) && (1..=1024).contains(&text.len()), "{text:?}");
            }
            assert!((1..=500).contains(&search.page.limit()));
            let _ = search.place(None);
            continues(&search);
        }
    }
}

/// A cursor that this list gives leads to where it was made, and in no list of another tenant or order.
fn continues(search: &Search) {
    let tenant_id = Some(TenantId::from(Uuid::from_u128(1)));
    let place = Position { after: UploadId::from(Uuid::from_u128(2)), until: Some(UploadId::from(Uuid::from_u128(3))) };
    let cursor = search.cursor(tenant_id, place);
    let next = |order| Search::new(search.filter.clone(), order, Some(&cursor), None).unwrap();
    assert_eq!(next(search.order).place(tenant_id), Ok(Some(place)));
    let turned = if search.order == Order::Newest { Order::Oldest } else { Order::Newest };
    assert!(next(turned).place(tenant_id).is_err());
    assert!(next(search.order).place(Some(TenantId::from(Uuid::from_u128(4)))).is_err());
}
