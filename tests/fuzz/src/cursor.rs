//! Cursors: whatever is sent as one, and one of ours with one character changed.

use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::page::PageRequest;
use presign_gateway::domain::search::{Order, Position, Search, UploadFilter};
use uuid::Uuid;

use super::told::MARK;

pub fn judge(data: &[u8]) {
    anything(data);
    changed(data);
}

fn search(cursor: Option<&str>) -> Option<Search> {
    let filter = UploadFilter::parse(|name| (name == "subject").then_some("a&b=c%")).unwrap();
    Search::new(filter, Order::Newest, cursor, None).ok()
}

fn anything(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Err(error) = PageRequest::new(Some(text), None) {
        assert!(!error.to_string().contains(MARK));
    }
    let Some(search_with) = search(Some(text)) else { return };
    let tenant_id = Some(TenantId::from(Uuid::from_u128(7)));
    match search_with.place(tenant_id) {
        Err(error) => assert!(!error.to_string().contains(MARK)),
        // Made up with the right checksum, which is no secret: then it is the one that we would have made.
        Ok(place) => assert_eq!(search_with.cursor(tenant_id, place.unwrap()), text),
    }
}

/// The bytes choose a place, which character is changed, and to what.
fn changed(data: &[u8]) {
    let Some((bytes, rest)) = data.split_first_chunk::<32>() else { return };
    let [at, to, has_until, ..] = *rest else { return };
    let (after, until) = bytes.split_at(16);
    let id = |bytes: &[u8]| UploadId::from(Uuid::from_slice(bytes).unwrap());
    let place = Position { after: id(after), until: (has_until % 2 == 1).then(|| id(until)) };
    let tenant_id = Some(TenantId::from(Uuid::from_u128(7)));
    let cursor = search(None).unwrap().cursor(tenant_id, place);
    let read = |cursor: &str| search(Some(cursor)).and_then(|search| search.place(tenant_id).ok().flatten());
    assert_eq!(read(&cursor), Some(place));

    let at = usize::from(at) % cursor.len();
    let letter = char::from(b'-' + to % 78);
    let mut altered = cursor.clone();
    altered.replace_range(at..=at, letter.encode_utf8(&mut [0; 4]));
    assert!(altered == cursor || read(&altered).is_none(), "{altered} is taken for {cursor}");
    let (cut, _) = cursor.split_at(at);
    assert!(read(cut).is_none(), "{cut} is a part of {cursor}");
}
