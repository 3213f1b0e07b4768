//! After the first batch no layer allocates, nor does the loss, nor an optimiser.
//!
//! One test alone: the counter counts for the whole process.

mod common;

use std::alloc::System;

use im2col::{Padding, Window};
use net::layers::{self, PadMode};
use net::{Gradient, Init, LayerSpec, Mode, Optimizer, Rule, Seeds, SoftmaxCrossEntropy, State};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tensor4::{Shape4, Tensor4};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocations of a call, after a first one.
fn count(mut call: impl FnMut()) -> usize {
    call();
    // The thread that has started the test may allocate meanwhile, but not each time.
    let of_one = |_| {
        let region = Region::new(ALLOCATOR);
        call();
        let Stats { allocations, reallocations, .. } = region.change();
        allocations + reallocations
    };
    (0..8).map(of_one).min().expect("there are some")
}

fn all_layers() -> Vec<Box<dyn LayerSpec<f32>>> {
    let overlapping = Window::square(3).stride(2).pad(1);
    vec![
        Box::new(layers::affine(70)),
        Box::new(layers::relu()),
        Box::new(layers::leaky_relu(0.1)),
        Box::new(layers::sigmoid()),
        Box::new(layers::tanh()),
        Box::new(layers::dropout(0.5)),
        Box::new(layers::flatten()),
        Box::new(layers::log_softmax()),
        Box::new(layers::batch_norm2d()),
        Box::new(layers::local_response_norm(5)),
        Box::new(layers::local_response_norm(3).beta(0.5)),
        Box::new(layers::max_pool2d(Window::square(2).stride(2))),
        Box::new(layers::max_pool2d(overlapping).ceil_mode(true)),
        Box::new(layers::avg_pool2d(overlapping)),
        Box::new(layers::global_avg_pool2d()),
        Box::new(layers::subsample2d(Window::square(2).stride(2))),
        Box::new(layers::pad2d(Padding::uniform(1), PadMode::Reflect)),
        Box::new(layers::conv2d(9, Window::square(3).pad(1))),
        Box::new(layers::table_conv2d([vec![0, 1], vec![2, 5], vec![3]], Window::square(3))),
    ]
}

#[test]
fn nothing_allocates_after_the_first_time() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    pool.install(|| {
        for (images, spec) in
            [1, 20].into_iter().flat_map(|n| all_layers().into_iter().map(move |l| (n, l)))
        {
            // Large enough that every layer is cut into tasks.
            let shape = Shape4::new(images, 8, 26, 25).expect("it fits");
            let mut layer = spec
                .build("layer".to_owned(), shape, Init::HeNormal, &mut Seeds::new(1))
                .expect("the layer fits");
            let output = layer.output_shape(shape).expect("the layer fits");
            let x = Tensor4::normal(shape, 0.0, 1.0, 2);
            let dy = Tensor4::normal(output, 0.0, 1.0, 3);
            let (mut y, mut dx) = (Tensor4::zeros(output), Tensor4::zeros(shape));
            let mut state = State::new();
            let allocations = count(|| {
                let mode = Mode::Train { step: 1 };
                layer.forward(x.view(), y.view_mut(), &mut state, mode).expect("it fits");
                let gradient = Gradient { x: x.view(), y: y.view(), dy: dy.view() };
                layer.backward(gradient, Some(dx.view_mut()), &mut state).expect("it fits");
            });
            assert_eq!(allocations, 0, "{}, {images} images", layer.describe());
        }

        let logits = Tensor4::<f32>::normal(Shape4::matrix(30, 11).expect("it fits"), 0.0, 1.0, 2);
        let (labels, mut dlogits) = (vec![3; 30], logits.clone());
        let allocations = count(|| {
            SoftmaxCrossEntropy
                .smoothed_loss(0.1, logits.view(), &labels, Some(dlogits.view_mut()))
                .expect("it fits");
        });
        assert_eq!(allocations, 0, "the loss");

        // More parameters than are taken at a time.
        let mut values: Vec<_> = (0..150).map(|i| vec![1.0_f32; 700 * (i % 7)]).collect();
        values.push(vec![1.0; 100_000]);
        let grads: Vec<_> = values.iter().map(|value| vec![0.5; value.len()]).collect();
        for rule in [Rule::sgd(0.1), Rule::momentum(0.1, 0.9), Rule::adam(0.1), Rule::adam_w(0.1)] {
            let mut optimizer = Optimizer::new(rule).expect("the rule fits");
            let allocations = count(|| {
                optimizer.begin_step();
                let parameters = values.iter_mut().zip(&grads).enumerate();
                optimizer.update_all(parameters.map(|(i, (p, g))| (i, &mut p[..], &g[..])));
            });
            assert_eq!(allocations, 0, "{}", rule.name());
        }
    });
}
