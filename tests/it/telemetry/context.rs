//! Whose trace a request belongs to, and whether it is kept.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;

use super::{Watched, request_id};
use crate::support::collector::{Kept, Link};
use crate::support::stack::{Answer, Call};
use crate::v1::id_in;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// Those at the test's own address are trusted; whom they speak for is not.
const TRUSTING: [(&str, &str); 2] =
    [("PRESIGN__TELEMETRY__TRUSTED_CALLERS", "127.0.0.1"), ("PRESIGN__SERVER__TRUSTED_PROXIES", "127.0.0.1")];

fn parent(flags: &str) -> String {
    format!("00-{TRACE_ID}-{SPAN_ID}-{flags}")
}

/// A caller who is not trusted, behind a proxy that is.
fn stranger(call: Call<'_>) -> Call<'_> {
    call.from("203.0.113.7".parse().unwrap())
}

async fn succeed(call: Call<'_>) -> Answer {
    let answer = call.send().await;
    answer.url();
    answer
}

#[tokio::test]
async fn trusted_trace_is_continued_and_foreign_one_is_linked() {
    let watched = Watched::start(&TRUSTING).await;
    let continued = async |answer: Answer| {
        let span = watched.span_of(&answer).await;
        assert_eq!((span.trace_id.as_str(), span.parent_id.as_str()), (TRACE_ID, SPAN_ID));
        assert_eq!((span.kind, span.links.len()), (SpanKind::Server, 0));
        assert_eq!(watched.recorded_trace_id(&answer).await.as_deref(), Some(TRACE_ID));
        assert_ne!(request_id(&answer), TRACE_ID, "of its own: many requests can belong to one trace");
        span
    };
    let call = watched.presigning().header("traceparent", &parent("01")).header("tracestate", STATE);
    assert_eq!(continued(succeed(call).await).await.trace_state, STATE);
    // Flags that nobody knows yet, and a later version, which may say more.
    for traceparent in [parent("03"), parent("ff"), parent("01").replacen("00", "01", 1) + "-what-the-future-holds"] {
        continued(succeed(watched.presigning().header("traceparent", &traceparent)).await).await;
    }
    let call = watched.presigning().header("traceparent", &parent("01")).header("tracestate", "no state, at all;");
    assert_eq!(continued(succeed(call).await).await.trace_state, "");

    // In their own trace they decide what is kept, and nobody else in ours.
    let unsampled = succeed(watched.presigning().header("traceparent", &parent("00"))).await;
    assert_eq!(watched.recorded_trace_id(&unsampled).await, None);
    for flags in ["01", "00"] {
        let call = stranger(watched.presigning()).header("traceparent", &parent(flags)).header("tracestate", STATE);
        let answer = succeed(call).await;
        let span = watched.span_of(&answer).await;
        assert_ne!(span.trace_id, TRACE_ID);
        assert_eq!((span.parent_id.as_str(), span.trace_state.as_str()), ("", ""));
        // Their state may be anything, and is not kept.
        let (trace_id, span_id, trace_state) = (TRACE_ID.to_owned(), SPAN_ID.to_owned(), String::new());
        assert_eq!(span.links, [Link { trace_id, span_id, trace_state }]);
        assert_eq!(span.attribute("client.address"), "203.0.113.7");
    }
    let (_stack, collector) = watched.stop().await;
    assert!(collector.kept().server_span(request_id(&unsampled)).is_none(), "it was not to be kept");
}

#[tokio::test]
async fn a_traceparent_that_is_wrong_is_ignored() {
    let watched = Watched::start(&TRUSTING).await;
    let zeros = "0".repeat(32);
    let id = SPAN_ID;
    let malformed = [
        String::new(),
        "00".to_owned(),
        "nonsense".to_owned(),
        format!("00-{TRACE_ID}-{id}"),
        format!("00-{TRACE_ID}-{id}-"),
        format!("00-{TRACE_ID}-{id}-1"),
        format!("00-{TRACE_ID}-{id}-001"),
        format!("00-{TRACE_ID}-{id}-0g"),
        format!("00-{TRACE_ID}-{id}-+1"),
        format!("00-{TRACE_ID}-{id}-01-"),
        format!("00-{TRACE_ID}-{id}-01-more"),
        format!("00-{zeros}-{id}-01"),
        format!("00-{TRACE_ID}-{}-01", &zeros[..16]),
        format!("00-{}-{id}-01", &TRACE_ID[1..]),
        format!("00-{TRACE_ID}0-{id}-01"),
        format!("00-+{}-{id}-01", &TRACE_ID[1..]),
        format!("00-{TRACE_ID}-{}-01", &id[1..]),
        format!("00-{TRACE_ID}-{id}0-01"),
        format!("00-{TRACE_ID}-+{}-01", &id[1..]),
        format!("00-{}-{id}-01", TRACE_ID.to_uppercase()),
        format!("00-{TRACE_ID}-{}-01", id.to_uppercase()),
        format!("00-{TRACE_ID}-{id}-0A"),
        format!("0-{TRACE_ID}-{id}-01"),
        format!("0x-{TRACE_ID}-{id}-01"),
        format!("FE-{TRACE_ID}-{id}-01"),
        format!("ff-{TRACE_ID}-{id}-01"),
        format!("01-{TRACE_ID}-{id}-01more"),
        format!("00_{TRACE_ID}_{id}_01"),
        format!("{TRACE_ID}-{id}-01"),
        format!("00-{TRACE_ID}-{id}-01, 00-{TRACE_ID}-{id}-01"),
    ];
    let mut calls: Vec<_> = malformed
        .iter()
        .flat_map(|text| [(text.as_str(), false), (text.as_str(), true)])
        .map(|(text, is_stranger)| {
            let call = watched.presigning().header("traceparent", text).header("tracestate", STATE);
            (text, if is_stranger { stranger(call) } else { call })
        })
        .collect();
    let twice = watched.presigning().header("traceparent", &parent("01")).header("traceparent", &parent("01"));
    calls.push(("twice", twice));
    for (text, call) in calls {
        let answer = succeed(call).await;
        let span = watched.span_of(&answer).await;
        assert_eq!((span.parent_id.as_str(), span.trace_state.as_str()), ("", ""), "{text:?}");
        assert_eq!(span.links, [], "{text:?}");
        assert_ne!(span.trace_id, TRACE_ID, "{text:?}");
        assert_eq!(request_id(&answer), span.trace_id, "{text:?}");
    }
}

#[tokio::test]
async fn from_an_answer_and_from_a_row_one_comes_to_the_trace() {
    let watched = Watched::start(&[]).await;
    let answer = watched.presign().await;
    let span = watched.span_of(&answer).await;
    assert_eq!(request_id(&answer), span.trace_id);
    assert_eq!(watched.recorded_trace_id(&answer).await, Some(span.trace_id.clone()));
    let id = id_in(answer.object_key());
    let shown = watched.stack.admin(Method::GET, &format!("/uploads/{id}")).send().await;
    assert_eq!(shown.data(200)["trace_id"], span.trace_id.as_str());

    let refused = watched.call(Method::GET, "/oss/presign?ext=jpg").send().await;
    refused.assert_error(401, "unauthenticated");
    assert_eq!(refused.body["request_id"], watched.span_of(&refused).await.trace_id.as_str());

    let named = succeed(watched.presigning().header("x-request-id", "mine-1")).await;
    assert_eq!(request_id(&named), "mine-1");
    let span = watched.span_of(&named).await;
    assert_eq!(watched.recorded_trace_id(&named).await, Some(span.trace_id));
    // Nobody is trusted who is not named.
    let not_continued = succeed(watched.presigning().header("traceparent", &parent("01"))).await;
    assert_ne!(watched.span_of(&not_continued).await.trace_id, TRACE_ID);
}

fn is_hexadecimal(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn at_a_ratio_of_nothing_only_a_trusted_callers_traces_are_kept() {
    let ratio =
        [("PRESIGN__TELEMETRY__SAMPLER", "parentbased_traceidratio"), ("PRESIGN__TELEMETRY__SAMPLER_RATIO", "0")];
    let sweeping = [("PRESIGN__UPLOADS__SWEEP_SECONDS", "1")];
    let watched = Watched::start(&[&TRUSTING[..], &ratio, &sweeping].concat()).await;
    for call in [
        watched.presigning(),
        watched.presigning().header("traceparent", &parent("00")),
        // A stranger cannot make us keep anything.
        stranger(watched.presigning()).header("traceparent", &parent("01")),
    ] {
        let answer = succeed(call).await;
        assert_eq!(watched.recorded_trace_id(&answer).await, None);
        assert!(is_hexadecimal(request_id(&answer)));
    }
    let kept = succeed(watched.presigning().header("traceparent", &parent("01"))).await;
    assert_eq!(watched.recorded_trace_id(&kept).await.as_deref(), Some(TRACE_ID));
    let swept = |kept: &Kept| (kept.count("presign_gateway.sweeper.round.duration", &[]) > 0).then_some(());
    watched.collector.find("a round of the sweeper", swept).await;
    let (_stack, collector) = watched.stop().await;
    let kept = collector.kept();
    assert_eq!(of_requests(&kept), BTreeSet::from([TRACE_ID.to_owned()]));
    let record = kept.named("record");
    assert_eq!(record.len(), 1);
    assert_eq!(kept.linked_to(&record[0]).len(), 1, "and the batch that it was in");
    assert_eq!(kept.named("record batch").len(), 1, "and no other");
    let known = [TRACE_ID, &kept.named("record batch")[0].trace_id];
    let others: Vec<_> = kept.spans.iter().filter(|span| !known.contains(&span.trace_id.as_str())).collect();
    assert!(others.is_empty(), "what nobody asked for is not kept either: {others:#?}");
}

/// The traces of which requests are a part.
fn of_requests(kept: &Kept) -> BTreeSet<String> {
    let servers = kept.spans.iter().filter(|span| span.kind == SpanKind::Server);
    servers.map(|span| span.trace_id.clone()).collect()
}

#[tokio::test]
async fn at_a_ratio_of_one_half_some_are_kept_and_their_rows_say_so() {
    let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let watched = Watched::start(&[&TRUSTING[..], &ratio].concat()).await;
    let mut answers = Vec::new();
    for _ in 0..48 {
        answers.push(watched.presign().await);
    }
    let recorded: BTreeSet<String> =
        sqlx::query_scalar("SELECT trace_id FROM uploads WHERE trace_id IS NOT NULL ORDER BY 1")
            .fetch_all(&mut watched.stack.connect().await)
            .await
            .unwrap()
            .into_iter()
            .collect();
    assert!((1..48).contains(&recorded.len()), "{}", recorded.len());
    let (_stack, collector) = watched.stop().await;
    let kept = collector.kept();
    let exported = of_requests(&kept);
    assert_eq!(exported, recorded);
    let told: BTreeSet<_> =
        answers.iter().map(|answer| request_id(answer).to_owned()).filter(|id| exported.contains(id)).collect();
    assert_eq!(told, recorded, "a request's id is its trace's, where there is one");
    assert!(answers.iter().all(|answer| is_hexadecimal(request_id(answer))));
}
