//! Who may call what: every operation of both listeners, called by every kind of caller.
//! `docs/isolation.md` shows the result.
//!
//! The operations come from the OpenAPI documents, so a new one is tested without being named here.
//! [`NEEDS`] lists what each operation requires of a caller.

mod callers;
mod contents;
mod drawing;
mod foreign;
pub(crate) mod operations;

use presign_gateway::http::openapi;
use reqwest::Method;

use self::callers::{Caller, Kind};
use self::contents::Contents;
use self::drawing::Drawing;
use self::operations::{Operation, Row, operations};
use crate::docs::assert_fresh;
use crate::support::stack::{Answer, Setup, TestStack};

/// What an app's caller needs for each operation of the public listener: the scopes, of which the first is asked for in words, and
/// without the second one there is nothing but what the caller issued itself.
const NEEDS: [(&str, &[&str]); 12] = [
    ("GET /livez", &[]),
    ("GET /oss/presign", &["uploads:issue"]),
    ("GET /v1/uploads", &["uploads:read"]),
    ("POST /v1/uploads", &["uploads:issue"]),
    ("POST /v1/uploads/batch", &["uploads:issue"]),
    ("GET /v1/uploads/export", &["uploads:read"]),
    ("GET /v1/uploads/{id}", &["uploads:read"]),
    ("DELETE /v1/uploads/{id}", &["uploads:delete", "uploads:read"]),
    ("POST /v1/uploads/{id}/complete", &["uploads:issue", "uploads:read"]),
    ("GET /v1/uploads/{id}/download", &["uploads:read"]),
    ("GET /v1/uploads/{id}/url", &["uploads:issue", "uploads:read"]),
    ("GET /v1/usage", &["uploads:read"]),
];
/// What every operation of the operators' listener needs is an operator's key; of these, nothing.
const OPEN_TO_OPERATORS_NETWORK: [&str; 3] = ["GET /livez", "GET /metrics", "GET /readyz"];

/// What an answer comes to: `✓`, or its status and reason.
fn outcome(answer: &Answer) -> String {
    if answer.status.is_success() {
        "✓".to_owned()
    } else {
        format!("{} {}", answer.status.as_u16(), answer.reason())
    }
}

/// What a caller of the public listener should hear.
fn expected(operation: &Operation, needs: &[&str], kind: &Kind, row: Row) -> &'static str {
    let is_contracts = operation.path == "/oss/presign";
    let Some(first) = needs.first() else { return "✓" };
    match kind {
        Kind::Anonymous if is_contracts => "✓",
        Kind::Stranger | Kind::Anonymous => "401 unauthenticated",
        Kind::Suspended => "403 tenant_suspended",
        Kind::Operator => "403 operator_not_allowed",
        Kind::OtherTenant if row == Row::None => "✓",
        Kind::OtherTenant => "404 resource_not_found",
        Kind::Scopes(scopes) if !scopes.contains(first) => "403 scope_missing",
        Kind::Scopes(scopes) if needs.iter().any(|need| !scopes.contains(need)) => "404 resource_not_found",
        Kind::Scopes(_) => "✓",
    }
}

/// An upload of alpha's, that has arrived or has not.
async fn upload(stack: &TestStack, row: Row) -> String {
    if row == Row::None {
        return String::new();
    }
    let issued = stack.presign("ext=jpg").await;
    if row == Row::Arrived {
        assert_eq!(stack.client.put(issued.url()).body("bytes").send().await.unwrap().status(), 200);
    }
    crate::v1::id_in(issued.object_key())
}

/// Asks at this listener, or where the caller asks.
async fn ask(stack: &TestStack, listener: &str, operation: &Operation, row: &str, caller: &Caller) -> Answer {
    let base = caller.base.as_deref().unwrap_or(listener);
    let call = stack.call(operation.method.clone(), format!("{base}{}", operation.filled("alpha", row)));
    let has_body = ![Method::GET, Method::HEAD].contains(&operation.method);
    let call = if has_body { call.json(&operation.body()) } else { call };
    caller.presents(call).header("x-request-id", "same").send().await
}

/// Who is refused a GET is refused its HEAD, too; some are nobody's.
async fn assert_no_more_by_head(stack: &TestStack, listener: &str, operation: &Operation, row: &str, caller: &Caller) {
    if let Some(by_head) = operation.by_head() {
        let get = ask(stack, listener, operation, row, caller).await.status;
        let head = ask(stack, listener, &by_head, row, caller).await.status;
        assert!(head == get || head == 405, "{} by {}: {head}, {get} by GET", by_head.name, caller.name);
    }
}

fn tolerant() -> Setup {
    // Strangers come by the hundred; and nothing but what is asked changes anything.
    let setup = Setup::new().set("AUTH__FAILURES_PER_SECOND", "1000000").set("AUTH__FAILURES_BURST", "1000000");
    setup.set("UPLOADS__USAGE_FOLD_SECONDS", "3600")
}

/// The cells of the public listener.
async fn ask_public(stack: &TestStack, drawing: &mut Drawing) {
    let anonymous = stack.another(&[("OSS__ANONYMOUS_TENANT", "alpha")]).await;
    let callers = callers::of_public(stack, &anonymous.url).await;
    let table = drawing.table("The public listener", callers.iter().map(|caller| caller.name));
    let mut unknown: Vec<&str> = NEEDS.iter().map(|(name, _)| *name).collect();
    for operation in operations(&openapi::public_document()) {
        let known = NEEDS.iter().find(|(name, _)| *name == operation.name);
        let (_, needs) = known.unwrap_or_else(|| panic!("{}: say in NEEDS who may", operation.name));
        unknown.retain(|name| *name != operation.name);
        let row = operation.row(needs);
        let cells = callers.iter().map(|caller| (caller, expected(&operation, needs, &caller.kind, row)));
        let (let_in, refused): (Vec<_>, Vec<_>) = cells.partition(|(_, expected)| *expected == "✓");
        let shared = upload(stack, row).await;
        let before = Contents::of(stack).await;
        for (caller, expected) in refused {
            let answer = ask(stack, &stack.url, &operation, &shared, caller).await;
            assert_eq!(outcome(&answer), expected, "{} by {}: {}", operation.name, caller.name, answer.text);
            assert_no_more_by_head(stack, &stack.url, &operation, &shared, caller).await;
            table.cell(&operation.name, caller.name, expected);
        }
        before.assert_same(&Contents::of(stack).await, &operation.name);
        for (caller, expected) in let_in {
            let answer = ask(stack, &stack.url, &operation, &upload(stack, row).await, caller).await;
            assert_eq!(outcome(&answer), expected, "{} by {}: {}", operation.name, caller.name, answer.text);
            table.cell(&operation.name, caller.name, expected);
        }
    }
    assert!(unknown.is_empty(), "no such operations: {unknown:?}");
}

/// The cells of the operators' listener.
async fn ask_operators(stack: &TestStack, drawing: &mut Drawing) {
    let callers = callers::of_operators(stack).await;
    let table = drawing.table("The operators' listener", callers.iter().map(|caller| caller.name));
    let operator = callers.iter().find(|caller| caller.expects == "✓").unwrap();
    for operation in operations(&openapi::admin_document()) {
        let is_open = OPEN_TO_OPERATORS_NETWORK.contains(&operation.name.as_str());
        let before = Contents::of(stack).await;
        for caller in callers.iter().filter(|caller| caller.expects != "✓") {
            let expected = match (is_open, &caller.base) {
                (false, _) => caller.expects,
                (true, Some(_)) if operation.path != "/livez" => "404 not_found",
                (true, _) => "✓",
            };
            let answer = ask(stack, &stack.ops_url, &operation, "default", caller).await;
            assert_eq!(outcome(&answer), expected, "{} by {}: {}", operation.name, caller.name, answer.text);
            assert_no_more_by_head(stack, &stack.ops_url, &operation, "default", caller).await;
            table.cell(&operation.name, caller.name, expected);
        }
        before.assert_same(&Contents::of(stack).await, &operation.name);
        // Of a tenant that is not there: what operators may do, others' tests do.
        let url = format!("{}{}", stack.ops_url, operation.filled("nobody", "none"));
        let call = stack.call(operation.method.clone(), url);
        let call = if operation.method == Method::GET { call } else { call.json(&operation.body()) };
        let answer = operator.presents(call).send().await;
        let status = answer.status.as_u16();
        assert!(status < 500 && ![401, 403, 405, 429].contains(&status), "{}: {}", operation.name, answer.text);
        assert_ne!(answer.reason(), "not_found", "{}", operation.name);
        table.cell(&operation.name, operator.name, "✓");
    }
}

#[tokio::test]
async fn isolation_matrix_holds_and_refusals_change_nothing() {
    let stack = tolerant().start().await;
    let mut drawing = Drawing::default();
    ask_public(&stack, &mut drawing).await;
    ask_operators(&stack, &mut drawing).await;
    assert_fresh("isolation.md", &drawing.text());
}

#[tokio::test]
async fn neither_listener_has_a_route_of_the_others() {
    let stack = tolerant().start().await;
    let before = Contents::of(&stack).await;
    let alpha = Caller::bearing("an app's key", Kind::Operator, &stack.demo.alpha.api_key);
    for operation in operations(&openapi::public_document()) {
        if operation.path != "/livez" {
            let answer = ask(&stack, &stack.ops_url, &operation, "default", &alpha).await;
            assert_eq!(outcome(&answer), "404 not_found", "{}", operation.name);
        }
    }
    before.assert_same(&Contents::of(&stack).await, "on the other listener");
}
