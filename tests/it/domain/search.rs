//! What is looked for, as it was written.

use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::search::{Position, Search, SearchTerms};
use uuid::uuid;

/// A newer version must know the cursors of this one: they are with clients.
#[test]
fn a_cursor_stays_as_it_is_from_version_to_version() {
    let term = |text: &str| Some(text.to_owned());
    let terms = SearchTerms {
        from: term("2026-11-01"),
        kind: term("thumb"),
        object_key: term("a&b"),
        min_width: term("10"),
        order: term("oldest"),
        ..SearchTerms::default()
    };
    let tenant_id = Some(TenantId::from(uuid!("01a00000-0000-7000-8000-000000000001")));
    let after = UploadId::from(uuid!("01a00000-0000-7000-8000-000000000002"));
    let place = Position { after, until: None };
    let cursor = Search::parse(&terms, None, None).unwrap().cursor(tenant_id, place);
    assert_eq!(cursor, "MDFhMDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAyLi5iMjUyYWM2Yg");
    // However the same is written.
    let again = SearchTerms { from: term("2026-11-01T00:00:00Z"), min_width: term("0010"), ..terms.clone() };
    let search = |terms: &SearchTerms| Search::parse(terms, Some(&cursor), None).unwrap();
    assert_eq!(search(&again).place(tenant_id).unwrap(), Some(place));
    for other in [SearchTerms { max_width: term("10"), ..terms.clone() }, SearchTerms { min_width: None, ..terms }] {
        search(&other).place(tenant_id).unwrap_err();
    }
}
