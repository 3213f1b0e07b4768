//! Pools that others have made, too many threads, and a layer that panics in one of them.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{noise, parameter_bits};
use im2col::Window;
use net::{Mode, NetError, Rule, Samples, Sequential, Tape, TrainOptions, Trainer, layers};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use tensor4::{Shape4, ViewMut4};
use testkit::{shape, tensor};

const INPUT: [usize; 3] = [1, 12, 12];

fn net() -> Sequential<f32> {
    Sequential::builder(1, 12, 12)
        .add(layers::conv2d(8, Window::square(3)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(10))
        .build(1)
        .expect("the layers fit")
}

/// The weights after an epoch on the pool that it is called from.
fn trained() -> Vec<u64> {
    let mut net = net();
    let samples = noise::<f32>(40, INPUT, 10, 2);
    let options = TrainOptions::default().epochs(1).batch_size(20).seed(3);
    let mut trainer = Trainer::new(options, Rule::adam(0.01)).expect("the rule fits");
    trainer.fit(&mut net, &samples, None, &mut ()).expect("no divergence");
    parameter_bits(&net)
}

fn on_pool_of(threads: usize) -> Vec<u64> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
    pool.install(trained)
}

#[test]
fn a_global_pool_that_exists_is_used() {
    // Whoever comes second, this test or another in this process, finds a pool.
    let _ = ThreadPoolBuilder::new().num_threads(2).build_global();
    let expected = on_pool_of(1);
    assert_eq!(trained(), expected);
    assert!(ThreadPoolBuilder::new().build_global().is_err(), "there is one");
}

#[test]
fn many_more_threads_than_cores_give_the_same_bytes() {
    assert_eq!(on_pool_of(64), on_pool_of(1));
}

#[test]
fn trainings_on_the_threads_of_another_pool_give_the_same_bytes() {
    let expected = on_pool_of(1);
    let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("a few threads");
    // Tasks of a pool of someone else, more of them than it has threads.
    let all: Vec<_> = pool.install(|| (0..8).into_par_iter().map(|_| trained()).collect());
    assert!(all.iter().all(|weights| *weights == expected));
}

/// Samples that panic where they are gathered, as long as they are told to.
struct Panics {
    inner: net::TensorSamples<f32>,
    wanted: AtomicBool,
}

impl Samples<f32> for Panics {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn image_shape(&self) -> Shape4 {
        self.inner.image_shape()
    }

    fn gather(
        &self,
        indices: &[usize],
        images: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), NetError> {
        // In a task, which another thread of the pool may have taken.
        let tasks = (0..16_usize).into_par_iter();
        tasks.for_each(|task| {
            assert!(!self.wanted.load(Ordering::Relaxed) || task != 11, "task 11")
        });
        self.inner.gather(indices, images, labels)
    }
}

#[test]
fn a_panic_in_a_worker_reaches_the_caller_and_leaves_pool_and_network_usable() {
    let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("a few threads");
    let samples = Panics { inner: noise::<f32>(40, INPUT, 10, 2), wanted: AtomicBool::new(true) };
    let options = TrainOptions::default().epochs(1).batch_size(20).seed(3);
    let mut net = net();
    let before = parameter_bits(&net);
    let fit = |net: &mut Sequential<f32>| {
        let mut trainer = Trainer::new(options, Rule::adam(0.01)).expect("the rule fits");
        pool.install(|| trainer.fit(net, &samples, None, &mut ()).map(drop))
    };
    let caught = catch_unwind(AssertUnwindSafe(|| fit(&mut net))).unwrap_err();
    let message = caught.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let message = message.or_else(|| caught.downcast_ref::<String>().cloned());
    assert_eq!(message.as_deref(), Some("task 11"));
    assert_eq!(parameter_bits(&net), before, "the first batch had not come");

    samples.wanted.store(false, Ordering::Relaxed);
    fit(&mut net).expect("the pool goes on");
    assert_eq!(parameter_bits(&net), on_pool_of(1));
}

#[test]
fn one_network_serves_many_threads_at_a_time() {
    let net = net();
    let x = tensor::<f32>(shape(4, 1, 12, 12), 7);
    let expected = net.predict(x.view()).expect("x fits");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut tape = Tape::new();
                for _ in 0..20 {
                    let y = net.forward(x.view(), &mut tape, Mode::Eval).expect("x fits");
                    assert_eq!(y.data(), expected.data());
                }
            });
        }
    });
}
