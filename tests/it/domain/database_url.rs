//! One host, or several.

use presign_gateway::domain::database_url::hosts;

#[test]
fn a_url_of_one_host_stays_as_it_is() {
    for url in [
        "postgres://db",
        "postgres://db/presign",
        "postgresql://u:p@db:5432/presign?sslmode=require",
        "postgres://u:p%40@[::1]:5432/presign",
        "postgres:///presign?host=/run/postgresql",
    ] {
        assert_eq!(hosts(url).unwrap(), [url]);
    }
}

#[test]
fn a_url_of_several_hosts_is_one_for_each() {
    let url = "postgres://u:p,q@a:5432,[::1]:5433,c/presign?sslmode=require&target_session_attrs=read-write";
    let each = ["a:5432", "[::1]:5433", "c"].map(|host| format!("postgres://u:p,q@{host}/presign?sslmode=require"));
    assert_eq!(hosts(url).unwrap(), each);
    assert_eq!(hosts("postgres://a,b?target_session_attrs=primary").unwrap(), ["postgres://a", "postgres://b"]);
}

#[test]
fn what_is_wrong_is_told_without_the_password() {
    for (url, expected) in [
        ("mysql://u:hunter2@a/x", "postgres://"),
        ("postgres://u:hunter2@a,/x", "on each side of a comma"),
        ("postgres://u:hunter2@a,:5432/x", "on each side of a comma"),
        ("postgres://u:hunter2@a,b,c,d,e,f,g,h,i/x", "at most 8 hosts"),
        ("postgres://u:hunter2@a,b/x?target_session_attrs=any", "target_session_attrs=read-write"),
    ] {
        let told = hosts(url).unwrap_err().to_string();
        assert!(told.contains(expected) && !told.contains("hunter2"), "{url}: {told}");
    }
}

#[test]
fn what_one_host_is_asked_for_is_left_to_the_driver() {
    let url = "postgres://u:p@db/presign?target_session_attrs=any";
    assert_eq!(hosts(url).unwrap(), [url]);
}
