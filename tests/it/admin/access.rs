//! Who may do what operators do: `isolation` asks every operation in the name of everybody else.

use reqwest::Method;

use crate::support::stack::TestStack;

#[tokio::test]
async fn strangers_are_counted_by_address_here_too() {
    let stack = TestStack::start().await;
    let guess = || stack.call(Method::GET, format!("{}/admin/v1/tenants", stack.ops_url)).bearer("pgw_guess").send();
    let mut last = guess().await;
    for _ in 0..25 {
        last = guess().await;
    }
    last.assert_error(429, "too_many_failures");
}
