//! Cost of one update of one metric; the goal is under 5 µs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::analysis::{Batch, Sequence, SequenceConfig};

fn update(criterion: &mut Criterion) {
    let config = SequenceConfig::default();
    let Ok(batch) = Batch::new(1.0, 600.0, 5.0, 5400.0) else {
        return;
    };
    let mut sequence = Sequence::new();
    criterion.bench_function("update and verdict", |bencher| {
        bencher.iter(|| {
            sequence.update(&config, 0, black_box(batch));
            black_box(sequence.verdict(&config))
        });
    });
}

criterion_group!(benches, update);
criterion_main!(benches);
