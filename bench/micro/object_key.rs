//! Making an object key by the contract's template.

use std::hint::black_box;

use chrono_tz::Tz;
use criterion::{Criterion, Throughput};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::object_key::{Naming, Template};
use presign_gateway::domain::randomness::Randomness;

pub fn measure(criterion: &mut Criterion) {
    let template = Template::parse(Template::CONTRACT, None).unwrap();
    let issued_at = Clock::System.now();
    let id = UploadId::generate(issued_at, &Randomness::System);
    let naming = Naming { id, ext: Extension::Jpg, kind: None, issued_at, time_zone: Tz::UTC };
    let far = Naming { time_zone: Tz::Asia__Shanghai, ..naming };

    let mut group = criterion.benchmark_group("object_key");
    group.throughput(Throughput::Elements(1));
    group.bench_function("gateway", |bencher| bencher.iter(|| template.object_key(black_box(&naming))));
    group.bench_function("gateway, the day of Shanghai", |bencher| {
        bencher.iter(|| template.object_key(black_box(&far)));
    });
    group.bench_function("baseline format!", |bencher| bencher.iter(|| baseline(black_box(&naming))));
    group.finish();
}

fn baseline(naming: &Naming) -> String {
    format!("{}/{}.{}", naming.issued_at.format("%Y/%m/%d"), naming.id, naming.ext.as_str())
}
