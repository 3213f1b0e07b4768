//! After the first step of a training, and the first call of a session, none allocates memory.
//!
//! One test alone: the counter counts for the whole process.

use std::alloc::System;

use net::models::{AlexNetSmall, DeepConvNet, LeNet5, SimpleConvNet};
use net::{Mode, NetError, Optimizer, Rule, Sequential, Session, SoftmaxCrossEntropy, Tape};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tensor4::{Shape4, Tensor4};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CLASSES: usize = 10;

/// What a call allocates, the least of a few times: the thread that has started the test may allocate
/// meanwhile.
fn allocations(times: usize, mut call: impl FnMut() -> Result<(), NetError>) -> usize {
    let of_one = |_| {
        let region = Region::new(ALLOCATOR);
        call().expect("the batch fits");
        let Stats { allocations, reallocations, .. } = region.change();
        allocations + reallocations
    };
    (0..times).map(of_one).min().expect("there are some")
}

fn check(name: &str, net: Result<Sequential<f32>, NetError>) {
    let mut net = net.expect("the layers fit");
    let [_, c, h, w] = net.input_shape().dims();
    let batch = Shape4::new(20, c, h, w).expect("a small batch");
    let images = Tensor4::<f32>::uniform(batch, 0.0, 1.0, 1);
    let labels: Vec<usize> = (0..20).map(|image| image * 7 % CLASSES).collect();
    let mut tape = Tape::new();
    let mut optimizer = Optimizer::new(Rule::adam(0.001)).expect("the rule fits");
    let mut dlogits = vec![0.0; 20 * CLASSES];
    let mut step = |n: usize| {
        let x = images.view().batch(0..n)?;
        let logits = net.forward(x, &mut tape, Mode::Train { step: optimizer.steps() })?;
        let shape = logits.shape();
        let dlogits = &mut dlogits[..shape.len()];
        let dz = Some(tensor4::ViewMut4::new(shape, dlogits)?);
        SoftmaxCrossEntropy.loss(logits, &labels[..n], dz)?;
        net.backward(tensor4::View4::new(shape, dlogits)?, &mut tape)?;
        net.update(&mut optimizer);
        Ok(())
    };
    assert!(allocations(1, || step(20)) > 0, "{name}: the first step makes the memory");
    for n in [20, 7, 20] {
        assert_eq!(allocations(4, || step(n)), 0, "{name}: a step of {n} images");
    }

    let session = Session::new(net).expect("weights can be packed");
    let infer = |n: usize| {
        let output = session.infer(images.view().batch(0..n)?)?;
        assert_eq!(output.view().shape().n(), n);
        Ok(())
    };
    for n in [20, 1] {
        infer(n).expect("the batch fits");
    }
    for n in [20, 1, 3] {
        assert_eq!(allocations(4, || infer(n)), 0, "{name}: inference of {n} images");
    }
}

#[test]
fn nothing_allocates_after_the_first_step() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    pool.install(|| {
        check("SimpleConvNet", SimpleConvNet::default().build(1));
        check("LeNet-5", LeNet5::default().build(1));
        check("DeepConvNet", DeepConvNet::default().build(1));
        check("AlexNet for small images", AlexNetSmall::default().build(1));
    });
}
