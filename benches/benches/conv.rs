//! The naive direct convolution against im2col + GEMM, in f32.
//!
//! Throughput is in multiply-adds: an element per second is 2 flop/s. The naive one runs on one
//! thread, as it always does; the other one on all that rayon has.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::{Layer, ONE_BY_ONE, SIMPLE_CONV_NET, THREE_BY_THREE};
use conv::{Algorithm, Conv2dPlan, ConvError, Options, Update, Workspace};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tensor4::Tensor4;
use testkit::{assert_close, tensor, values};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    BackwardData,
    BackwardWeights,
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::BackwardData => "backward data",
            Self::BackwardWeights => "backward weights",
        }
    }
}

/// A plan with all that its three directions read and write.
struct Run {
    plan: Conv2dPlan,
    x: Tensor4,
    w: Tensor4,
    bias: Vec<f32>,
    y: Tensor4,
    dx: Tensor4,
    dw: Tensor4,
    dy: Tensor4,
    workspace: Workspace<f32>,
}

impl Run {
    /// `None` if the algorithm does not serve the layer.
    fn new(layer: Layer, algorithm: Algorithm) -> Option<Self> {
        let plan = match Conv2dPlan::new(layer.conv, Options::with_algorithm(algorithm)) {
            Err(ConvError::Unsupported { .. }) => return None,
            plan => plan.expect("a layer of a known network"),
        };
        let x = tensor(plan.input_shape(layer.n).expect("a small batch"), 1);
        let w = tensor(plan.weight_shape(), 2);
        let dy = tensor(plan.output_shape(layer.n).expect("a small batch"), 3);
        Some(Self {
            plan,
            bias: values(layer.conv.out_channels, 4),
            y: Tensor4::zeros(dy.shape()),
            dx: Tensor4::zeros(x.shape()),
            dw: Tensor4::zeros(w.shape()),
            x,
            w,
            dy,
            workspace: Workspace::new(),
        })
    }

    /// Runs one direction; returns what it has computed.
    fn run(&mut self, direction: Direction) -> &[f32] {
        let Self { plan, x, w, bias, y, dx, dw, dy, workspace } = self;
        let (x, dy) = (x.view(), dy.view());
        let (result, out) = match direction {
            Direction::Forward => {
                (plan.forward_into(x, w.view(), Some(bias), y.view_mut(), workspace), y)
            }
            Direction::BackwardData => {
                (plan.backward_data_into(w.view(), dy, dx.view_mut(), workspace), dx)
            }
            Direction::BackwardWeights => {
                let update = Update::Overwrite;
                (plan.backward_weights_into(x, dy, dw.view_mut(), None, update, workspace), dw)
            }
        };
        result.expect("all shapes are those of the plan");
        out.data()
    }
}

/// Measures every algorithm on one direction of a layer.
fn compare(criterion: &mut Criterion, layer: Layer, direction: Direction) {
    let mut expected = Run::new(layer, Algorithm::Naive).expect("it serves all");
    let start = Instant::now();
    let expected = expected.run(direction);
    let naive_time = start.elapsed();
    let mut group = criterion.benchmark_group(format!("conv/{}/{}", direction.name(), layer.name));
    group.sample_size(10);
    for &algorithm in Algorithm::ALL {
        // The gradients of all but the naive one are those of im2col + GEMM.
        if direction != Direction::Forward
            && algorithm != Algorithm::Naive
            && algorithm != Algorithm::Im2colGemm
        {
            continue;
        }
        let Some(mut run) = Run::new(layer, algorithm) else { continue };
        // Sums of up to 3136 products: the rounding of f32, and no more.
        assert_close(algorithm.name(), run.run(direction), expected, 1e-4);
        group.throughput(Throughput::Elements(run.plan.multiply_adds(layer.n)));
        if algorithm == Algorithm::Naive {
            // Slow enough for ten samples of one or two runs to say how slow.
            group.sampling_mode(SamplingMode::Flat);
            group.warm_up_time(Duration::from_millis(1)).measurement_time(12 * naive_time);
        } else {
            group.sampling_mode(SamplingMode::Auto);
            group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        }
        group.bench_function(algorithm.name(), |bencher| {
            bencher.iter(|| {
                black_box(run.run(direction));
            });
        });
    }
    group.finish();
}

fn forward(criterion: &mut Criterion) {
    for layer in [THREE_BY_THREE, SIMPLE_CONV_NET, ONE_BY_ONE] {
        compare(criterion, layer, Direction::Forward);
    }
}

fn gradients(criterion: &mut Criterion) {
    for direction in [Direction::BackwardData, Direction::BackwardWeights] {
        compare(criterion, THREE_BY_THREE, direction);
    }
}

criterion_group!(convolutions, forward, gradients);
criterion_main!(convolutions);
