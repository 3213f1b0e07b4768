//! The running average of the weights: against its definition, worked out beside a plain run.

mod common;

use common::{noise, parameter_bits};
use net::models::SimpleConvNet;
use net::{
    Control, EpochReport, NetError, Observer, Rule, Sequential, StepReport, TensorSamples,
    TrainOptions, Trainer, evaluate,
};
use testkit::assert_close;

const DECAY: f64 = 0.75;

fn net() -> Sequential<f64> {
    let net = SimpleConvNet::default().input(1, 12, 12).filters(3).hidden(8).outputs(4);
    net.weight_std(0.2).build(1).expect("the layers fit")
}

fn values(net: &Sequential<f64>) -> Vec<f64> {
    net.parameters().flat_map(|parameter| parameter.value().data().to_vec()).collect()
}

/// Trains with one step per epoch, so that an observer sees the weights after each step.
fn train(average: Option<f64>, epochs: usize, observer: &mut dyn Observer<f64>) -> Sequential<f64> {
    let samples = samples();
    let options = TrainOptions::default().epochs(epochs).batch_size(16).average(average);
    let mut net = net();
    Trainer::new(options, Rule::momentum(0.1, 0.9))
        .expect("the options fit")
        .fit(&mut net, &samples, Some(&samples), observer)
        .expect("it converges");
    net
}

fn samples() -> TensorSamples<f64> {
    noise(16, [1, 12, 12], 4, 3)
}

/// Notes the weights after each epoch.
#[derive(Default)]
struct Weights {
    seen: Vec<Vec<f64>>,
    stop_after: Option<u64>,
}

impl Observer<f64> for Weights {
    fn on_step(&mut self, report: &StepReport) -> Control {
        if self.stop_after == Some(report.step) { Control::Stop } else { Control::Continue }
    }

    fn on_epoch(
        &mut self,
        report: &EpochReport,
        net: &Sequential<f64>,
    ) -> Result<Control, NetError> {
        let test = evaluate(net, &samples(), 16)?;
        assert_eq!(report.test, Some(test), "the weights that are shown are those evaluated");
        self.seen.push(values(net));
        Ok(Control::Continue)
    }
}

#[test]
fn the_average_follows_its_definition_and_leaves_the_training_alone() {
    let (mut plain, mut averaged) = (Weights::default(), Weights::default());
    train(None, 40, &mut plain);
    let last = train(Some(DECAY), 40, &mut averaged);

    let mut expected = values(&net());
    for (step, (weights, average)) in (1..).zip(plain.seen.iter().zip(&averaged.seen)) {
        let decay = DECAY.min(f64::from(step) / (f64::from(step) + 10.0));
        for (e, w) in expected.iter_mut().zip(weights) {
            *e = decay * *e + (1.0 - decay) * w;
        }
        assert_close("average", average, &expected, 1e-12);
    }
    assert_eq!(averaged.seen.len(), 40);
    assert_eq!(averaged.seen.last(), Some(&values(&last)), "it ends with the average");
    assert_ne!(averaged.seen.last(), plain.seen.last());
}

#[test]
fn stopped_within_an_epoch_the_average_is_left() {
    let mut plain = Weights { stop_after: Some(3), ..Weights::default() };
    let mut averaged = Weights { stop_after: Some(3), ..Weights::default() };
    let plain = parameter_bits(&train(None, 5, &mut plain));
    let stopped = train(Some(DECAY), 5, &mut averaged);
    assert_ne!(parameter_bits(&stopped), plain);

    let mut whole = Weights::default();
    train(Some(DECAY), 3, &mut whole);
    assert_eq!(whole.seen.last(), Some(&values(&stopped)));
}

#[test]
fn a_decay_of_1_would_never_change() {
    let options = TrainOptions::default().average(Some(1.0));
    let error = Trainer::<f32>::new(options, Rule::sgd(0.1)).expect_err("out of range");
    assert!(error.to_string().contains("the average's decay is 1"), "{error}");
}
