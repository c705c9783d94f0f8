//! What operators do with issuers.

use presign_gateway::admin::{AdminError, JwtIssuerChanges, NewJwtIssuer, NewVerification};
use presign_gateway::domain::caller::Scopes;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::ids::JwtIssuerId;
use presign_gateway::domain::jwt_issuer::{JwksUrl, JwtAlgorithm, JwtIssuer, Verification};

use super::{SECRET, add, issuer, secret_issuer};
use crate::support::canary;
use crate::support::stack::TestStack;
use crate::support::tokens::{IssuerKey, claims, hs256};

const SECOND: &str = "a second secret of thirty-two bytes or more, for tests";

async fn added(new: NewJwtIssuer) -> (TestStack, JwtIssuer) {
    let stack = TestStack::start().await;
    canary::watch(SECRET);
    canary::watch(SECOND);
    let issuer = add(&stack, &stack.alpha(), new).await.unwrap();
    (stack, issuer)
}

async fn update(
    stack: &TestStack,
    id: JwtIssuerId,
    changes: JwtIssuerChanges,
    expected_revision: Option<i32>,
) -> Result<JwtIssuer, AdminError> {
    stack.tenants.update_jwt_issuer(&stack.alpha(), id, changes, expected_revision, &stack.keyring).await
}

fn secret(text: &str) -> JwtIssuerChanges {
    verification(NewVerification::HmacSecret(text.into()))
}

fn verification(verification: NewVerification) -> JwtIssuerChanges {
    JwtIssuerChanges { verification: Some(verification), ..JwtIssuerChanges::default() }
}

/// The audit of an issuer, the oldest first.
async fn audit(stack: &TestStack, id: JwtIssuerId) -> Vec<(String, Vec<String>)> {
    sqlx::query_as("SELECT action, changed_fields FROM audit_events WHERE subject_id = $1 ORDER BY id")
        .bind(id.uuid())
        .fetch_all(&mut stack.connect().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_new_secret_takes_the_place_of_the_old_one() {
    let (stack, issuer) = added(secret_issuer()).await;
    stack.presign_as(&hs256(SECRET, &claims())).await.url();
    let updated = update(&stack, issuer.id, secret(SECOND), Some(1)).await.unwrap();
    assert_eq!(updated.revision, 2);
    stack.presign_as(&hs256(SECRET, &claims())).await.assert_error(401, "unauthenticated");
    stack.presign_as(&hs256(SECOND, &claims())).await.url();
    let again = update(&stack, issuer.id, secret(SECRET), Some(2)).await.unwrap();
    assert!(matches!(again.verification, Verification::SealedHmacSecret { version: 3, .. }));
    stack.presign_as(&hs256(SECRET, &claims())).await.url();
    let fields = vec!["hmac_secret".to_owned()];
    let expected = [
        ("jwt_issuer.add".to_owned(), vec![]),
        ("jwt_issuer.update".to_owned(), fields.clone()),
        ("jwt_issuer.update".to_owned(), fields),
    ];
    assert_eq!(audit(&stack, issuer.id).await, expected);
}

#[tokio::test]
async fn restored_issuer_secret_is_sealed_like_a_new_one() {
    let (stack, issuer) = added(secret_issuer()).await;
    let key = IssuerKey::es256();
    let to_public = JwtIssuerChanges {
        algorithm: Some(JwtAlgorithm::Es256),
        ..verification(NewVerification::PublicKeyPem(key.public_pem.clone()))
    };
    update(&stack, issuer.id, to_public, None).await.unwrap();
    stack.presign_as(&hs256(SECRET, &claims())).await.assert_error(401, "unauthenticated");
    stack.presign_as(&key.token(None, &claims())).await.url();
    let to_secret = JwtIssuerChanges { algorithm: Some(JwtAlgorithm::Hs256), ..secret(SECOND) };
    let back = update(&stack, issuer.id, to_secret, None).await.unwrap();
    assert!(matches!(back.verification, Verification::SealedHmacSecret { version: 2, .. }));
    stack.presign_as(&hs256(SECOND, &claims())).await.url();
}

#[tokio::test]
async fn audit_names_changes_and_skips_empty_ones() {
    let key = IssuerKey::rs256();
    let pem = || NewVerification::PublicKeyPem(key.public_pem.clone());
    let (stack, issuer) = added(issuer(JwtAlgorithm::Rs256, pem())).await;
    let everything = || JwtIssuerChanges {
        algorithm: Some(JwtAlgorithm::Ps256),
        verification: Some(NewVerification::JwksUrl(
            JwksUrl::parse("https://auth.example.com/keys?tenant=a", &AllowedHosts::default()).unwrap(),
        )),
        leeway_seconds: Some(0),
        scopes: Some(Scopes::parse(["uploads:read"]).unwrap()),
        scopes_claim: Some("scp".to_owned()),
    };
    let same = JwtIssuerChanges {
        algorithm: Some(JwtAlgorithm::Rs256),
        verification: Some(pem()),
        leeway_seconds: Some(30),
        ..JwtIssuerChanges::default()
    };
    assert_eq!(update(&stack, issuer.id, same, None).await.unwrap().revision, 1);
    let updated = update(&stack, issuer.id, everything(), Some(1)).await.unwrap();
    assert_eq!(update(&stack, issuer.id, everything(), Some(2)).await.unwrap().revision, 2);
    let read = stack.tenants.get_jwt_issuer(&stack.alpha(), issuer.id).await.unwrap();
    assert!(read.updated_at > read.created_at);
    // Postgres keeps microseconds.
    let updated = JwtIssuer { updated_at: read.updated_at, ..updated };
    assert_eq!(format!("{read:?}"), format!("{updated:?}"));
    let audit = audit(&stack, issuer.id).await;
    let fields = ["jwks_url", "algorithm", "leeway_seconds", "scopes", "scopes_claim"].map(str::to_owned).to_vec();
    assert_eq!(audit[1..], [("jwt_issuer.update".to_owned(), fields)]);
}

#[tokio::test]
async fn one_who_read_an_older_revision_changes_nothing() {
    let (stack, issuer) = added(secret_issuer()).await;
    let leeway = |seconds| JwtIssuerChanges { leeway_seconds: Some(seconds), ..JwtIssuerChanges::default() };
    update(&stack, issuer.id, leeway(10), Some(1)).await.unwrap();
    let stale = update(&stack, issuer.id, leeway(20), Some(1)).await;
    assert!(matches!(stale, Err(AdminError::Stale { current: 2 })), "{stale:?}");
    assert_eq!(stack.tenants.get_jwt_issuer(&stack.alpha(), issuer.id).await.unwrap().leeway_seconds, 10);
}

#[tokio::test]
async fn foreign_and_archived_issuers_look_missing() {
    let (stack, ours) = added(secret_issuer()).await;
    let (alpha, beta) = (stack.alpha(), stack.beta());
    let never: JwtIssuerId = uuid::Uuid::from_u128(7).into();
    stack.tenants.archive_jwt_issuer(&beta, ours.id).await.unwrap_err();
    stack.presign_as(&hs256(SECRET, &claims())).await.url();

    let archived =
        add(&stack, &alpha, NewJwtIssuer { audience: "former".to_owned(), ..secret_issuer() }).await.unwrap();
    stack.tenants.archive_jwt_issuer(&alpha, archived.id).await.unwrap();
    for (slug, id) in [(&beta, ours.id), (&alpha, archived.id), (&alpha, never)] {
        let (tenants, keyring) = (&stack.tenants, &stack.keyring);
        let answers = [
            tenants.get_jwt_issuer(slug, id).await.map(drop),
            tenants.update_jwt_issuer(slug, id, JwtIssuerChanges::default(), None, keyring).await.map(drop),
            tenants.archive_jwt_issuer(slug, id).await.map(drop),
            tenants.test_jwt_issuer(slug, id, &"token".into(), keyring).await.map(drop),
        ];
        for answer in answers {
            assert_eq!(answer.unwrap_err().to_string(), format!("no JWT issuer {id} exists"));
        }
    }
}

#[tokio::test]
async fn archived_issuer_frees_its_names_and_its_tokens_get_401() {
    let (stack, issuer) = added(secret_issuer()).await;
    let before = stack.tenants.list_jwt_issuers(&stack.alpha()).await.unwrap().len();
    stack.tenants.archive_jwt_issuer(&stack.alpha(), issuer.id).await.unwrap();
    stack.presign_as(&hs256(SECRET, &claims())).await.assert_error(401, "unauthenticated");
    assert_eq!(stack.tenants.list_jwt_issuers(&stack.alpha()).await.unwrap().len(), before - 1);
    let (action, fields) = audit(&stack, issuer.id).await.pop().unwrap();
    assert_eq!((action.as_str(), fields), ("jwt_issuer.archive", vec!["archived_at".to_owned()]));
    add(&stack, &stack.beta(), secret_issuer()).await.unwrap();
    assert!(stack.presign_as(&hs256(SECRET, &claims())).await.url().contains("/beta-uploads/"));
}

#[tokio::test]
async fn what_an_issuer_cannot_be_is_refused_by_the_name_of_the_field() {
    let (stack, existing) = added(secret_issuer()).await;
    let with = |new: NewJwtIssuer| NewJwtIssuer { audience: "another".to_owned(), ..new };
    let hs256 = |text: String| with(issuer(JwtAlgorithm::Hs256, NewVerification::HmacSecret(text.into())));
    let es256 = |verification| with(issuer(JwtAlgorithm::Es256, verification));
    let url = NewVerification::JwksUrl(JwksUrl::parse("https://a.example/", &AllowedHosts::default()).unwrap());
    let long = || " ".repeat(256 * 1024 + 1);
    for (field, new) in [
        ("hmac_secret", hs256("x".repeat(31))),
        ("hmac_secret", hs256("x".repeat(4097))),
        ("leeway_seconds", NewJwtIssuer { leeway_seconds: 301, ..with(secret_issuer()) }),
        ("scopes", NewJwtIssuer { scopes: Scopes::default(), ..with(secret_issuer()) }),
        ("scopes_claim", NewJwtIssuer { scopes_claim: String::new(), ..with(secret_issuer()) }),
        ("scopes_claim", NewJwtIssuer { scopes_claim: "x".repeat(101), ..with(secret_issuer()) }),
        ("scopes_claim", NewJwtIssuer { scopes_claim: "a\u{9b}b".to_owned(), ..with(secret_issuer()) }),
        ("algorithm", with(issuer(JwtAlgorithm::Hs256, url))),
        ("jwks", es256(NewVerification::Jwks(long()))),
        ("public_key_pem", es256(NewVerification::PublicKeyPem(long()))),
        ("issuer", NewJwtIssuer { issuer: "x".repeat(501), ..secret_issuer() }),
        ("audience", NewJwtIssuer { audience: String::new(), ..secret_issuer() }),
    ] {
        let refused = add(&stack, &stack.alpha(), new).await;
        let Err(AdminError::Invalid(invalid)) = refused else { panic!("{field}: {refused:?}") };
        assert!(invalid.field == field && invalid.expected.starts_with("must "), "{invalid}");
    }
    let to_es256 = JwtIssuerChanges { algorithm: Some(JwtAlgorithm::Es256), ..JwtIssuerChanges::default() };
    let refused = update(&stack, existing.id, to_es256, None).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
}

#[test]
fn the_url_of_a_jwks_is_https_public_and_bare_of_credentials() {
    let parse = |text: &str| JwksUrl::parse(text, &AllowedHosts::default());
    assert!(parse(&format!("https://a.example/{}", "x".repeat(1982))).is_ok());
    for text in [
        &format!("https://a.example/{}", "x".repeat(1983)),
        "https://a.example#keys",
        "https://user@a.example",
        "https://:password@a.example",
        "http://a.example",
        "https://10.0.0.1",
        "https://idp.internal",
        "keys.json",
        "file:///etc/passwd",
    ] {
        assert_eq!(parse(text).unwrap_err().field, "jwks_url", "{text}");
    }
}
