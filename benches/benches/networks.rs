//! Whole networks, in f32: a training step (forward, loss, backward and Adam) and inference, each
//! compared with f64 first.
//!
//! The throughput is in images.

use std::time::Duration;

use benches::model::{ModelCase, Task, TimedModel};
use benches::record::WRONG;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

/// Measures one task with all networks.
fn measure(
    criterion: &mut Criterion,
    group: &str,
    task: Task,
    batch: impl Fn(TimedModel) -> usize,
) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).nresamples(10_000).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for model in TimedModel::ALL {
        let n = batch(model);
        let checked = ModelCase::checked(model, task, n).expect("a known network");
        let (mut case, error) = checked;
        assert!(error <= WRONG, "{}: the error against f64 is {error:.1e}", model.name());
        group.throughput(Throughput::Elements(n as u64));
        let id = BenchmarkId::new(model.name(), n);
        group.bench_function(id, |bencher| bencher.iter(|| case.call()));
    }
    group.finish();
}

fn networks(criterion: &mut Criterion) {
    measure(criterion, "train step", Task::Train, TimedModel::batch);
    measure(criterion, "inference", Task::Infer, TimedModel::batch);
    measure(criterion, "inference of one image", Task::Infer, |_| 1);
}

criterion_group!(models, networks);
criterion_main!(models);
