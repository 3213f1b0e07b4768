//! A whole network, its gradients and five steps of training against PyTorch.

mod common;

use common::{Named, load};
use net::models::SimpleConvNet;
use net::{
    Control, Mode, NetScalar, Observer, Optimizer, Rule, Sequential, SoftmaxCrossEntropy,
    StepReport, Tape, TensorSamples, TrainOptions, Trainer,
};
use tensor4::Tensor4;
use testkit::{Golden, assert_close};

const PARAMETERS: [&str; 6] = [
    "conv1.weight",
    "conv1.bias",
    "affine1.weight",
    "affine1.bias",
    "affine2.weight",
    "affine2.bias",
];

/// The network with the weights of the file.
fn network<T: NetScalar>(golden: &Golden) -> Sequential<T> {
    let mut net = SimpleConvNet::default()
        .input(1, 12, 12)
        .filters(4)
        .filter_size(3)
        .pad(1)
        .hidden(10)
        .outputs(5)
        .build(1)
        .expect("the layers fit");
    let tensors = PARAMETERS.map(|name| -> Named<T> {
        let values = golden.tensor(name).cast().into_vec();
        (name.to_owned(), golden.dims(name), values)
    });
    load(&mut net, &tensors);
    let names: Vec<_> = net.parameters().map(|parameter| parameter.name()).collect();
    assert_eq!(names, PARAMETERS);
    net
}

fn check<T: NetScalar>(tolerance: f64) {
    let golden = Golden::load("simple_convnet");
    let mut net = network::<T>(&golden);
    let x = golden.tensor("x").cast::<T>();
    let labels = golden.labels("labels");
    let mut tape = Tape::new();
    let mut optimizer = Optimizer::new(Rule::adam(0.001)).expect("the defaults");
    let losses = golden.values("losses");
    assert_eq!(losses.len(), 5);
    for (i, &expected) in losses.iter().enumerate() {
        let mode = Mode::Train { step: i as u64 + 1 };
        let logits = net.forward(x.view(), &mut tape, mode).expect("x fits");
        let mut dlogits = Tensor4::zeros(logits.shape());
        let loss = SoftmaxCrossEntropy
            .loss(logits, &labels, Some(dlogits.view_mut()))
            .expect("a label for each image");
        assert_close(&format!("loss {i}"), &[loss.mean], &[expected], tolerance);
        if i == 0 {
            assert_close("logits", logits.data(), &golden.values("logits"), tolerance);
            assert_close("loss", &[loss.mean], &[golden.scalar("loss")], tolerance);
            let dx = net.backward_to_input(dlogits.view(), &mut tape).expect("dlogits fit");
            assert_close("grad.x", dx.data(), &golden.values("grad.x"), tolerance);
            for parameter in net.parameters() {
                let name = format!("grad.{}", parameter.name());
                assert_close(&name, parameter.grad().data(), &golden.values(&name), tolerance);
            }
        } else {
            net.backward(dlogits.view(), &mut tape).expect("dlogits fit");
        }
        net.update(&mut optimizer);
    }
    for parameter in net.parameters() {
        let name = format!("after5.{}", parameter.name());
        assert_close(&name, parameter.value().data(), &golden.values(&name), tolerance);
    }
}

#[test]
fn in_double_precision() {
    check::<f64>(1e-11);
}

#[test]
fn in_single_precision() {
    check::<f32>(1e-4);
}

/// The trainer shuffles the batch, which changes the mean by rounding alone.
#[test]
fn by_the_trainer() {
    struct Losses(Vec<f64>);
    impl Observer<f64> for Losses {
        fn on_step(&mut self, report: &StepReport) -> Control {
            self.0.push(report.loss);
            Control::Continue
        }
    }

    let golden = Golden::load("simple_convnet");
    let mut net = network::<f64>(&golden);
    let samples = TensorSamples::new(golden.tensor("x"), golden.labels("labels")).expect("a batch");
    let options = TrainOptions::default().epochs(5).batch_size(3).seed(4);
    let mut trainer = Trainer::new(options, Rule::adam(0.001)).expect("the defaults");
    let mut losses = Losses(Vec::new());
    trainer.fit(&mut net, &samples, None, &mut losses).expect("it does not diverge");
    assert_close("losses", &losses.0, &golden.values("losses"), 1e-11);
    for parameter in net.parameters() {
        let name = format!("after5.{}", parameter.name());
        assert_close(&name, parameter.value().data(), &golden.values(&name), 1e-11);
    }
}
