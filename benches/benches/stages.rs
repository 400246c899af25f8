//! Wall time of each stage: `cargo bench -p forebay-bench`. Nanoseconds per record are 1000 divided by the `Mitem/s`.

use divan::Bencher;
use divan::counter::ItemsCount;
use forebay_bench::stages::{self, RECORDS_PER_PASS, REFERENCES, STAGES};

/// The gateway's, because allocation is part of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn names() -> impl Iterator<Item = &'static str> {
    STAGES.iter().chain(REFERENCES).map(|stage| stage.name)
}

#[divan::bench(args = names())]
fn stage(bencher: Bencher<'_, '_>, name: &str) {
    let prepared = stages::find(name).map(|stage| stage.prepare());
    let Some(Ok(mut pass)) = prepared else { panic!("{name} cannot be prepared") };
    bencher.counter(ItemsCount::new(RECORDS_PER_PASS)).bench_local(|| {
        assert!(matches!(pass(), Ok(RECORDS_PER_PASS)), "{name} did not handle every record");
    });
}
