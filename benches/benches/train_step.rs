//! One step of training SimpleConvNet: forward, loss, backward and Adam, 100 images, in f32.
//!
//! The throughput is in images.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use net::models::SimpleConvNet;
use net::{Mode, NetError, NetScalar, Optimizer, Rule, Sequential, SoftmaxCrossEntropy, Tape};
use tensor4::{Shape4, Tensor4};
use testkit::{assert_close, shape};

const BATCH: usize = 100;
const CLASSES: usize = 10;
const SEED: u64 = 1;

/// All that a step needs from the one before.
struct Training<T> {
    net: Sequential<T>,
    optimizer: Optimizer<T>,
    tape: Tape<T>,
    dlogits: Tensor4<T>,
    images: Tensor4<T>,
    labels: Vec<usize>,
}

impl<T: NetScalar> Training<T> {
    fn new() -> Result<Self, NetError> {
        Ok(Self {
            net: SimpleConvNet::default().build(SEED)?,
            optimizer: Optimizer::new(Rule::adam(0.001))?,
            tape: Tape::new(),
            dlogits: Tensor4::zeros(Shape4::matrix(BATCH, CLASSES)?),
            images: Tensor4::uniform(shape(BATCH, 1, 28, 28), 0.0, 1.0, SEED),
            labels: (0..BATCH).map(|image| image * 7 % CLASSES).collect(),
        })
    }

    /// Returns the loss before the step.
    fn step(&mut self) -> Result<f64, NetError> {
        let Self { net, optimizer, tape, dlogits, images, labels } = self;
        let logits = net.forward(images.view(), tape, Mode::Train { step: optimizer.steps() })?;
        let loss = SoftmaxCrossEntropy.loss(logits, labels, Some(dlogits.view_mut()))?;
        net.backward(dlogits.view(), tape)?;
        net.update(optimizer);
        Ok(loss.mean)
    }

    /// The losses of several steps.
    fn losses(&mut self, steps: usize) -> Result<Vec<f64>, NetError> {
        (0..steps).map(|_| self.step()).collect()
    }
}

fn train_step(criterion: &mut Criterion) {
    let mut training = Training::<f32>::new().expect("the network of the book");
    let losses = training.losses(3).expect("the batch fits");
    let expected = Training::<f64>::new().and_then(|mut training| training.losses(3));
    // The second and third loss depend on every gradient and on Adam.
    assert_close("losses", &losses, &expected.expect("the batch fits"), 1e-4);
    assert!(losses[2] < losses[0], "training does not reduce the loss: {losses:?}");

    let mut group = criterion.benchmark_group("train step");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group.bench_function("SimpleConvNet, 100 images", |bencher| {
        bencher.iter(|| black_box(training.step()).expect("the batch fits"));
    });
    group.finish();
}

criterion_group!(training, train_step);
criterion_main!(training);
