//! The trainer: repeatable, observed, stopped, diverging, and learning.

mod common;

use std::sync::Mutex;

use common::{noise, parameter_bits};
use im2col::Window;
use net::models::SimpleConvNet;
use net::{
    Control, EpochReport, Evaluation, NetError, NetScalar, NonFinite, Observer, Optimizer, Rule,
    Samples, Schedule, Sequential, StepReport, TensorSamples, TrainOptions, Trainer, evaluate,
    layers,
};
use tensor4::{Shape4, Tensor4, ViewMut4};
use testkit::{assert_close, shape, tensor};

const INPUT: [usize; 3] = [1, 12, 12];

fn small_net<T: NetScalar>(seed: u64) -> Sequential<T> {
    let [c, h, w] = INPUT;
    let net = SimpleConvNet::default().input(c, h, w).filters(3).hidden(8).outputs(4);
    net.weight_std(0.2).build(seed).expect("the layers fit")
}

fn options(epochs: usize, batch_size: usize) -> TrainOptions {
    TrainOptions::default().epochs(epochs).batch_size(batch_size).seed(5)
}

#[track_caller]
fn trainer<T: NetScalar>(options: TrainOptions, rule: Rule) -> Trainer<T> {
    Trainer::new(options, rule).expect("options and rule fit")
}

/// Notes everything, and stops where it is told to.
#[derive(Default)]
struct Recorder {
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
    /// The weights after each epoch.
    weights: Vec<Vec<u64>>,
    stop_after_step: Option<u64>,
    stop_after_epoch: Option<usize>,
    fail_after_epoch: Option<usize>,
}

impl<T: NetScalar> Observer<T> for Recorder {
    fn on_step(&mut self, report: &StepReport) -> Control {
        self.steps.push(*report);
        let stop = self.stop_after_step == Some(report.step);
        if stop { Control::Stop } else { Control::Continue }
    }

    fn on_epoch(&mut self, report: &EpochReport, net: &Sequential<T>) -> Result<Control, NetError> {
        assert!(
            net.parameters().all(|p| p.value().data().iter().all(|value| value.is_finite())),
            "on_epoch with weights that are not finite"
        );
        self.epochs.push(*report);
        self.weights.push(parameter_bits(net));
        if self.fail_after_epoch == Some(report.epoch) {
            return Err(NetError::Observer { message: "the disk is full".to_owned() });
        }
        let stop = self.stop_after_epoch == Some(report.epoch);
        Ok(if stop { Control::Stop } else { Control::Continue })
    }
}

/// The weights after two epochs, the reports of which are also given.
fn short_run(net_seed: u64, order_seed: u64) -> (Vec<u64>, Vec<EpochReport>) {
    let mut net = Sequential::<f32>::builder(1, 12, 12)
        .add(layers::conv2d(3, Window::square(3)))
        .add(layers::relu())
        .add(layers::dropout(0.3))
        .add(layers::affine(4))
        .build(net_seed)
        .expect("the layers fit");
    let samples = noise::<f32>(20, INPUT, 4, 1);
    let mut trainer = trainer(options(2, 6).seed(order_seed), Rule::momentum(0.05, 0.9));
    let reports = trainer.fit(&mut net, &samples, Some(&samples), &mut ()).expect("no divergence");
    (parameter_bits(&net), reports)
}

#[test]
fn a_run_repeats_bit_for_bit_and_follows_from_the_seeds() {
    let (weights, reports) = short_run(1, 2);
    let (again, reports_again) = short_run(1, 2);
    assert!(weights == again);
    assert_eq!(reports, reports_again);
    assert!(weights != short_run(2, 2).0, "another network");
    assert!(weights != short_run(1, 3).0, "another order");
}

#[test]
fn steps_and_epochs_are_reported() {
    let train = noise::<f32>(10, INPUT, 4, 1);
    let test = noise::<f32>(7, INPUT, 4, 2);
    let mut net = small_net(1);
    let mut trainer = trainer(options(3, 4), Rule::sgd(0.01));
    let mut recorder = Recorder::default();
    let reports = trainer.fit(&mut net, &train, Some(&test), &mut recorder).expect("it trains");
    assert_eq!(reports, recorder.epochs);
    assert_eq!(trainer.optimizer().steps(), 9);

    assert_eq!(recorder.steps.len(), 9);
    for (i, step) in recorder.steps.iter().enumerate() {
        let (epoch, in_epoch) = (i / 3 + 1, i % 3 + 1);
        assert_eq!((step.epoch, step.epochs), (epoch, 3));
        assert_eq!(
            (step.step, step.step_in_epoch, step.steps_per_epoch),
            (i as u64 + 1, in_epoch, 3)
        );
        // 10 = 4 + 4 + 2.
        assert_eq!(step.images, if in_epoch == 3 { 2 } else { 4 });
        assert!(step.correct <= step.images && step.loss.is_finite() && step.loss > 0.0);
    }
    assert_eq!(recorder.epochs.len(), 3);
    for (i, (epoch, steps)) in recorder.epochs.iter().zip(recorder.steps.chunks(3)).enumerate() {
        assert_eq!((epoch.epoch, epoch.epochs, epoch.step), (i + 1, 3, 3 * (i as u64 + 1)));
        assert_eq!(epoch.train.images, 10);
        assert_eq!(epoch.train.correct, steps.iter().map(|step| step.correct).sum::<usize>());
        let loss = steps.iter().map(|step| step.loss * step.images as f64).sum::<f64>() / 10.0;
        assert!((epoch.train.loss - loss).abs() < 1e-12);
        assert_eq!(epoch.test.map(|test| test.images), Some(7));
    }
    let last = recorder.epochs[2].test.expect("there are test images");
    assert_eq!(last, evaluate(&net, &test, 500).expect("they fit"));
    assert_ne!(recorder.weights[0], recorder.weights[1]);
    assert_eq!(recorder.weights[2], parameter_bits(&net));
}

/// Passes images on, noting which.
struct Noting<'a> {
    samples: &'a TensorSamples<f32>,
    gathered: Mutex<Vec<Vec<usize>>>,
}

impl Samples<f32> for Noting<'_> {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn image_shape(&self) -> Shape4 {
        self.samples.image_shape()
    }

    fn gather(
        &self,
        indices: &[usize],
        x: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), NetError> {
        self.gathered.lock().expect("nobody panicked").push(indices.to_vec());
        self.samples.gather(indices, x, labels)
    }
}

#[test]
fn every_epoch_has_every_image_once_in_another_order() {
    let samples = noise::<f32>(50, INPUT, 4, 1);
    let noting = Noting { samples: &samples, gathered: Mutex::new(Vec::new()) };
    let mut trainer = trainer(options(3, 8), Rule::sgd(0.01));
    trainer.fit(&mut small_net(1), &noting, None, &mut ()).expect("it trains");
    let gathered = noting.gathered.into_inner().expect("nobody panicked");
    assert_eq!(gathered.len(), 3 * 7);
    let epochs: Vec<Vec<usize>> = gathered.chunks(7).map(|steps| steps.concat()).collect();
    for epoch in &epochs {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_ne!(*epoch, sorted, "not shuffled");
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(epochs[1], epochs[2]);
}

#[test]
fn stop_after_a_step() {
    let train = noise::<f32>(10, INPUT, 4, 1);
    let mut recorder = Recorder { stop_after_step: Some(5), ..Recorder::default() };
    let mut trainer = trainer(options(4, 4), Rule::sgd(0.01));
    let mut net = small_net(1);
    let reports = trainer.fit(&mut net, &train, None, &mut recorder).expect("it trains");
    assert_eq!((recorder.steps.len(), recorder.epochs.len()), (5, 1));
    assert_eq!(reports, recorder.epochs, "an epoch that was cut short is not reported");
    assert_eq!(trainer.optimizer().steps(), 5);
    assert_ne!(parameter_bits(&net), recorder.weights[0], "steps 4 and 5 were made");
}

#[test]
fn stop_after_an_epoch() {
    let train = noise::<f32>(10, INPUT, 4, 1);
    let mut recorder = Recorder { stop_after_epoch: Some(2), ..Recorder::default() };
    let mut trainer = trainer(options(4, 4), Rule::sgd(0.01));
    let mut net = small_net(1);
    let reports = trainer.fit(&mut net, &train, None, &mut recorder).expect("it trains");
    assert_eq!((recorder.steps.len(), recorder.epochs.len(), reports.len()), (6, 2, 2));
    assert_eq!(parameter_bits(&net), recorder.weights[1]);
}

/// Whoever stops by an observer may ask for as many epochs as there are numbers.
#[test]
fn epochs_without_end() {
    let train = noise::<f32>(10, INPUT, 4, 1);
    let mut recorder = Recorder { stop_after_epoch: Some(3), ..Recorder::default() };
    for schedule in [Schedule::Constant, Schedule::Linear] {
        let mut trainer = trainer(options(usize::MAX, 4).schedule(schedule), Rule::sgd(0.01));
        let reports = trainer.fit(&mut small_net(1), &train, None, &mut recorder);
        assert_eq!(reports.expect("it trains").len(), 3);
    }
}

#[test]
fn a_failing_observer_ends_the_training_with_its_error() {
    let train = noise::<f32>(10, INPUT, 4, 1);
    let mut recorder = Recorder { fail_after_epoch: Some(2), ..Recorder::default() };
    let mut trainer = trainer(options(4, 4), Rule::sgd(0.01));
    let error = trainer.fit(&mut small_net(1), &train, None, &mut recorder).unwrap_err();
    assert_eq!(error, NetError::Observer { message: "the disk is full".to_owned() });
    assert_eq!(recorder.epochs.len(), 2);
}

/// The recorder asserts in `on_epoch` that all weights are finite.
fn diverge<T: NetScalar>(rule: Rule, batch_size: usize) -> (NetError, Recorder) {
    let train = noise::<T>(12, INPUT, 4, 1);
    let mut recorder = Recorder::default();
    let mut trainer = trainer(options(50, batch_size), rule);
    let error = trainer.fit(&mut small_net::<T>(1), &train, None, &mut recorder).unwrap_err();
    (error, recorder)
}

#[test]
fn divergence_names_the_step() {
    let mut losses = 0;
    for (rate, batch_size) in [(1e15, 4), (1e20, 4), (1e30, 3), (1e30, 12), (1e38, 12)] {
        let (error, recorder) = diverge::<f32>(Rule::sgd(rate), batch_size);
        let made = recorder.steps.len() as u64;
        let per_epoch = 12 / batch_size as u64;
        match &error {
            NetError::NonFiniteLoss { step, epoch, loss, origin } => {
                assert!(matches!(origin, NonFinite::Layer { .. }), "{error}");
                assert_eq!((*step, *epoch as u64), (made + 1, made / per_epoch + 1), "{error}");
                assert!(!loss.is_finite());
                losses += 1;
            }
            NetError::NonFiniteParameter { step, value, .. } => {
                assert_eq!(*step, made, "{error}");
                assert_eq!(made % per_epoch, 0, "found at the end of an epoch");
                assert!(!value.is_finite());
            }
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains("a smaller learning rate may help"), "{error}");
        assert_eq!(
            recorder.epochs.len() as u64,
            (made / per_epoch).min(error_epoch(&error, per_epoch))
        );
    }
    assert!(losses >= 2, "only {losses} runs ended in a loss that is not finite");
}

/// How many epochs were whole, with finite weights, before the error.
fn error_epoch(error: &NetError, per_epoch: u64) -> u64 {
    match error {
        NetError::NonFiniteParameter { step, .. } => step / per_epoch - 1,
        _ => u64::MAX,
    }
}

#[test]
fn weights_that_overflow_are_found_before_the_epoch_is_reported() {
    let mut net = Sequential::<f32>::builder(1, 2, 2).add(layers::affine(2)).build(1).unwrap();
    let images = Tensor4::from_fn(shape(4, 1, 2, 2), |n, _, _, _| 1e3 * (n as f32 - 1.5));
    let samples = TensorSamples::new(images, vec![0, 1, 0, 1]).unwrap();
    let mut recorder = Recorder::default();
    let mut trainer = trainer(options(3, 4), Rule::sgd(3e38));
    let error = trainer.fit(&mut net, &samples, None, &mut recorder).unwrap_err();
    let NetError::NonFiniteParameter { parameter, value, step } = &error else { panic!("{error}") };
    assert_eq!((parameter.as_str(), *step), ("affine1.weight", 1));
    assert!(value.is_infinite());
    assert_eq!((recorder.steps.len(), recorder.epochs.len()), (1, 0));
}

#[test]
fn a_pixel_that_is_no_number_stops_the_first_step_and_changes_nothing() {
    let mut images: Tensor4<f32> = tensor(shape(4, 1, 12, 12), 1);
    images.data_mut()[300] = f32::NAN;
    let samples = TensorSamples::new(images, vec![0, 1, 2, 3]).unwrap();
    let mut net = small_net::<f32>(1);
    let before = parameter_bits(&net);
    let mut recorder = Recorder::default();
    let mut trainer = trainer(options(3, 4), Rule::adam(0.01));
    let error = trainer.fit(&mut net, &samples, None, &mut recorder).unwrap_err();
    let message = "the loss of step 1 (epoch 1) is NaN: the images hold NaN; \
                   look at the data and how it is normalised";
    assert_eq!(error.to_string(), message);
    assert_eq!(parameter_bits(&net), before);
    assert_eq!(trainer.optimizer().steps(), 0);
    assert!(recorder.steps.is_empty() && recorder.epochs.is_empty());
}

/// A network whose output is the image itself.
fn identity(len: usize) -> Sequential<f64> {
    let mut net = Sequential::builder(1, 1, len).add(layers::affine(len)).build(1).unwrap();
    let eye: Vec<f64> = (0..len * len).map(|i| f64::from(i / len == i % len)).collect();
    let bias = vec![0.0; len];
    let dims = [len, len];
    net.load([("affine1.weight", &dims[..], &eye[..]), ("affine1.bias", &dims[..1], &bias[..])])
        .unwrap();
    net
}

#[test]
fn evaluation_counts() {
    let net = identity(3);
    // The brightest pixel is 0, 1, 2, 0, and (the first of two) 1.
    let pixels =
        [4.0, 1.0, 0.0, 0.0, 2.0, 1.0, 1.0, 1.0, 5.0, 3.0, 0.0, 2.0, 0.0, 6.0, 6.0].to_vec();
    let images = Tensor4::from_vec(shape(5, 1, 1, 3), pixels.clone()).unwrap();
    let labels = vec![0, 1, 0, 0, 2];
    let samples = TensorSamples::new(images.clone(), labels.clone()).unwrap();
    let rows = pixels.chunks_exact(3).zip(&labels);
    let losses =
        rows.map(|(z, &label)| z.iter().copied().map(f64::exp).sum::<f64>().ln() - z[label]);
    let loss = losses.sum::<f64>() / 5.0;
    for batch_size in [0, 1, 2, 5, 100] {
        let evaluation = evaluate(&net, &samples, batch_size).unwrap();
        assert_eq!((evaluation.correct, evaluation.images), (3, 5), "{batch_size}");
        assert!((evaluation.loss - loss).abs() < 1e-12, "{batch_size}: {evaluation:?}");
        assert!((evaluation.accuracy() - 0.6).abs() < 1e-15);
    }

    let none = TensorSamples::new(Tensor4::zeros(shape(0, 1, 1, 3)), Vec::new()).unwrap();
    let Evaluation { loss, correct, images: count } = evaluate(&net, &none, 10).unwrap();
    assert!(loss.is_nan() && (correct, count) == (0, 0));

    let wrong = TensorSamples::new(images, vec![0, 1, 0, 3, 2]).unwrap();
    // The image is counted within its batch of 2.
    let error = NetError::Label { image: 1, label: 3, classes: 3 };
    assert_eq!(evaluate(&net, &wrong, 2).unwrap_err(), error);
    let mut trainer = trainer(options(1, 5), Rule::sgd(0.1));
    let error = trainer.fit(&mut identity(3), &wrong, None, &mut ()).unwrap_err();
    assert!(matches!(error, NetError::Label { label: 3, classes: 3, .. }), "{error}");
    let error = trainer.fit(&mut identity(3), &samples, Some(&wrong), &mut ()).unwrap_err();
    assert!(matches!(error, NetError::Label { image: 3, label: 3, classes: 3 }), "{error}");
}

#[test]
fn an_update_follows_the_gradient_of_each_parameter() {
    let mut net = identity(2);
    for (i, parameter) in net.parameters_mut().enumerate() {
        parameter.grad_mut().fill(1.0 + i as f64);
    }
    net.update(&mut Optimizer::new(Rule::sgd(0.5)).unwrap());
    let values: Vec<_> = net.parameters().map(|p| p.value().data().to_vec()).collect();
    assert_eq!(values, [vec![0.5, -0.5, -0.5, 0.5], vec![-1.0, -1.0]]);
}

/// Two epochs of one step each: the first at the rate of the rule, the second at half of it.
#[test]
fn a_linear_schedule_scales_the_learning_rate() {
    let samples = noise::<f64>(6, INPUT, 4, 1);
    let mut scheduled = small_net::<f64>(1);
    let options = options(2, 6).schedule(Schedule::Linear);
    trainer(options, Rule::sgd(0.1)).fit(&mut scheduled, &samples, None, &mut ()).unwrap();

    let mut by_hand = small_net::<f64>(1);
    let constant = options.epochs(1).schedule(Schedule::Constant);
    for rate in [0.1, 0.05] {
        trainer(constant, Rule::sgd(rate)).fit(&mut by_hand, &samples, None, &mut ()).unwrap();
    }
    for (scheduled, by_hand) in scheduled.parameters().zip(by_hand.parameters()) {
        assert_close(by_hand.name(), scheduled.value().data(), by_hand.value().data(), 1e-12);
    }
}

#[test]
fn exclusive_or_is_learnt() {
    let images = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let images = Tensor4::<f32>::from_vec(shape(4, 2, 1, 1), images).unwrap();
    let samples = TensorSamples::new(images, vec![0, 1, 1, 0]).unwrap();
    for rule in [Rule::adam(0.05), Rule::nesterov(0.1, 0.9), Rule::rms_prop(0.02)] {
        let mut net = Sequential::builder(2, 1, 1)
            .add(layers::affine(8))
            .add(layers::tanh())
            .add(layers::affine(2))
            .build(1)
            .unwrap();
        let mut trainer = trainer(options(300, 4), rule);
        let before = evaluate(&net, &samples, 4).unwrap();
        let reports = trainer.fit(&mut net, &samples, Some(&samples), &mut ()).unwrap();
        let after = reports.last().and_then(|report| report.test).unwrap();
        assert!(after.correct == 4 && after.loss < 0.1, "{rule:?}: {before:?} {after:?}");
    }
}

/// Stripes that run along rows or columns, shifted and with noise.
fn stripes(images: usize, seed: u64) -> TensorSamples<f32> {
    let noise = tensor::<f32>(shape(images, 1, 10, 10), seed);
    let x = Tensor4::from_fn(noise.shape(), |n, c, h, w| {
        let along = if n % 2 == 0 { h } else { w };
        let stripe = if (along + n / 2) % 4 < 2 { 1.0 } else { 0.0 };
        stripe + 0.4 * noise[(n, c, h, w)]
    });
    TensorSamples::new(x, (0..images).map(|n| n % 2).collect()).unwrap()
}

#[test]
fn a_convolutional_network_tells_rows_from_columns() {
    let (train, test) = (stripes(48, 1), stripes(40, 2));
    let mut net = SimpleConvNet::default().input(1, 10, 10).filters(6).hidden(16).outputs(2);
    net = net.filter_size(3).weight_std(0.1);
    let mut net = net.build::<f32>(1).unwrap();
    let mut trainer = trainer(options(20, 10), Rule::adam(0.01));
    let reports = trainer.fit(&mut net, &train, Some(&test), &mut ()).unwrap();
    let last = reports[19];
    let test = last.test.unwrap();
    assert_eq!((last.train.correct, test.correct), (48, 40), "{last:?}");
    assert!(test.loss < 0.1 && reports[0].train.loss > 0.3, "{reports:?}");
}
