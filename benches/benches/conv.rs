//! Layers of known networks, each by every algorithm in all three directions, in f32. A layer is a
//! group, so that im2col + GEMM, the direct convolution and Winograd's stand side by side.
//!
//! Throughput is in multiply-adds by the formula: an element per second is 2 flop/s. The naive
//! convolution runs on one thread, as it always does; the others on all that rayon has.

use std::time::{Duration, Instant};

use benches::case::{Case, Checked, Direction};
use benches::layers::{self, TimedLayer};
use benches::record::WRONG;
use conv::{Algorithm, Options};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};

/// Names of the table of layers, and images: few enough for the naive convolution.
const LAYERS: [(&str, usize); 8] = [
    ("simple_conv1", 10),
    ("deep_conv4", 10),
    ("alexnet_conv1", 1),
    ("alexnet_conv3", 1),
    ("resnet_3x3_56", 1),
    ("resnet_3x3_s2", 1),
    ("resnet_1x1_56", 1),
    ("mobilenet_dw", 1),
];

fn chosen_layers() -> Vec<TimedLayer> {
    let all = layers::parse(layers::DEFAULT).expect("the table of this package");
    let chosen = |(name, n): (&str, usize)| {
        let layer = all.iter().find(|layer| layer.name == name).expect("a layer of the table");
        TimedLayer { n, ..layer.clone() }
    };
    LAYERS.map(chosen).to_vec()
}

/// Measures every algorithm that serves a direction of a layer.
fn compare(group: &mut BenchmarkGroup<'_, WallTime>, layer: &TimedLayer, direction: Direction) {
    let mut case = Case::new(layer, direction).expect("a layer of a known network");
    for &algorithm in Algorithm::ALL {
        // It does not serve the layer.
        let Ok(mut checked) = case.check(Options::with_algorithm(algorithm), false) else {
            continue;
        };
        let error = checked.error;
        assert!(error <= WRONG, "{}, {algorithm}: the error is {error:.1e}", layer.name);
        group.throughput(Throughput::Elements(checked.plan.multiply_adds(layer.n)));
        if algorithm == Algorithm::Naive {
            sample_slowly(group, &mut case, &mut checked);
        } else {
            group.sampling_mode(SamplingMode::Auto);
            group.warm_up_time(Duration::from_millis(150));
            group.measurement_time(Duration::from_millis(700));
        }
        let id = BenchmarkId::new(direction.name(), algorithm.name());
        group.bench_function(id, |bencher| bencher.iter(|| case.call(&mut checked)));
    }
}

/// Slow enough for ten samples of one run to say how slow.
fn sample_slowly(group: &mut BenchmarkGroup<'_, WallTime>, case: &mut Case, checked: &mut Checked) {
    let start = Instant::now();
    case.call(checked);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(9 * start.elapsed());
}

fn directions(criterion: &mut Criterion) {
    for layer in chosen_layers() {
        let mut group = criterion.benchmark_group(format!("conv/{}", layer.name));
        group.sample_size(10).nresamples(10_000);
        for direction in Direction::ALL {
            compare(&mut group, &layer, direction);
        }
        group.finish();
    }
}

criterion_group!(convolutions, directions);
criterion_main!(convolutions);
