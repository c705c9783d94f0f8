//! Writing the answer of `GET /oss/presign`.

use std::hint::black_box;

use axum::response::IntoResponse;
use criterion::{Criterion, Throughput};
use presign_gateway::http::envelope::Success;
use serde::Serialize;

const PRESIGNED: Presigned<'static> = Presigned {
    url: "http://127.0.0.1:9000/alpha-uploads/2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261122%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261122T101112Z&X-Amz-Expires=3600&X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&X-Amz-SignedHeaders=host&x-amz-meta-height=100&x-amz-meta-type=origin&x-amz-meta-width=100&x-id=PutObject",
    key: "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg",
};

#[derive(Clone, Copy, Serialize)]
struct Presigned<'a> {
    url: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    msg: &'static str,
    data: Presigned<'a>,
}

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Bytes(baseline(PRESIGNED).len().try_into().unwrap()));
    // With the response around it and its header fields.
    group.bench_function("gateway", |bencher| bencher.iter(|| Success(black_box(PRESIGNED)).into_response()));
    group.bench_function("baseline serde_json", |bencher| bencher.iter(|| baseline(black_box(PRESIGNED))));
    group.finish();
}

fn baseline(data: Presigned<'_>) -> Vec<u8> {
    serde_json::to_vec(&Body { code: 0, msg: "success", data }).unwrap()
}
