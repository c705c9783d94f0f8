//! What is looked for, as it was written.

use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::search::{Order, Position, Search, UploadFilter};
use uuid::uuid;

/// A newer version must know the cursors of this one: they are with clients.
#[test]
fn a_cursor_stays_as_it_is_from_version_to_version() {
    let terms = [("from", "2026-11-01"), ("type", "thumb"), ("key", "a&b"), ("min_width", "10")];
    let tenant_id = Some(TenantId::from(uuid!("01a00000-0000-7000-8000-000000000001")));
    let after = UploadId::from(uuid!("01a00000-0000-7000-8000-000000000002"));
    let place = Position { after, until: None };
    let search = |terms: &[(&str, &str)], cursor: Option<&str>| {
        let text_of = |wanted: &str| terms.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
        Search::new(UploadFilter::parse(text_of).unwrap(), Order::Oldest, cursor, None).unwrap()
    };
    let cursor = search(&terms, None).cursor(tenant_id, place);
    assert_eq!(cursor, "MDFhMDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAyLi5iMjUyYWM2Yg");
    // However the same is written.
    let again = [("min_width", "0010"), ("from", "2026-11-01T00:00:00Z"), ("type", "thumb"), ("key", "a&b")];
    assert_eq!(search(&again, Some(&cursor)).place(tenant_id).unwrap(), Some(place));
    let [from, kind, key, min_width] = terms;
    for other in [&[from, kind, key, min_width, ("max_width", "10")][..], &[from, kind, key]] {
        search(other, Some(&cursor)).place(tenant_id).unwrap_err();
    }
}

/// Each filter has its own part in the text that cursors are checked by.
#[test]
fn cursors_of_different_filters_differ() {
    let place = Position { after: UploadId::from(uuid!("01a00000-0000-7000-8000-000000000002")), until: None };
    let texts = [
        ["2026-11-01", "2026-11-02"],
        ["2026-11-01", "2026-11-02"],
        ["thumb", "video"],
        ["jpg", "png"],
        ["issued", "deleted"],
        ["a", "b"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2"],
        ["1", "2.5"],
        ["1", "2.5"],
        ["1", "2"],
        ["1", "2"],
    ];
    assert_eq!(texts.len(), UploadFilter::NAMES.len());
    let mut cursors = std::collections::HashSet::new();
    for (name, texts) in UploadFilter::NAMES.iter().zip(texts) {
        for text in texts {
            let filter = UploadFilter::parse(|wanted| Some(text).filter(|_| wanted == *name)).unwrap();
            let search = Search::new(filter, Order::Newest, None, None).unwrap();
            assert!(cursors.insert(search.cursor(None, place)), "{name}={text}");
        }
    }
}
