//! A tenant's policy.

use presign_gateway::domain::policy::{Policy, PolicyChanges};
use serde_json::{Map, Value};

#[test]
fn policy_is_read_with_every_field_or_not_at_all() {
    let usual = Policy::default_policy().unwrap();
    let Value::Object(whole) = serde_json::to_value(&usual).unwrap() else { panic!("a policy is an object") };
    let read = |policy: &Map<String, Value>| serde_json::from_value::<Policy>(Value::Object(policy.clone()));
    assert_eq!(serde_json::to_value(read(&whole).unwrap()).unwrap(), Value::Object(whole.clone()));
    for field in whole.keys() {
        let mut part = whole.clone();
        part.remove(field);
        assert_eq!(read(&part).unwrap_err().to_string(), format!("{field} is missing"));
    }
    let mut more = whole.clone();
    more.insert("colour".to_owned(), Value::Null);
    assert!(read(&more).unwrap_err().to_string().contains("unknown field `colour`"));
}

#[test]
fn policy_changes_that_contradict_change_nothing() {
    let mut policy = Policy::default_policy().unwrap();
    let contradicting =
        PolicyChanges { verify_arrival: Some(true), default_expiry_seconds: Some(3601), ..PolicyChanges::default() };
    assert_eq!(policy.apply(contradicting).unwrap_err().field, "default_expiry_seconds");
    assert!(!policy.verify_arrival && policy.default_expiry_seconds == 300);

    let fitting =
        PolicyChanges { verify_arrival: Some(false), longest_expiry_seconds: Some(7200), ..PolicyChanges::default() };
    assert_eq!(policy.apply(fitting).unwrap(), ["longest_expiry_seconds"], "only what differs is named");
}
