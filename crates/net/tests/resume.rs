//! A training that is stopped and gone on with is the same as one that is not, bit for bit.

mod common;

use common::{noise, parameter_bits};
use im2col::Window;
use net::{
    Checkpoint, Control, EpochReport, NetError, Observer, Position, Rule, Schedule, Sequential,
    StepReport, TensorSamples, TrainOptions, Trainer, layers,
};

const IMAGES: usize = 20;

fn net() -> Sequential<f32> {
    Sequential::builder(1, 12, 12)
        .add(layers::conv2d(3, Window::square(3)))
        .add(layers::batch_norm2d())
        .add(layers::relu())
        .add(layers::dropout(0.3))
        .add(layers::affine(4))
        .build(1)
        .expect("the layers fit")
}

fn samples() -> TensorSamples<f32> {
    noise(IMAGES, [1, 12, 12], 4, 1)
}

fn options() -> TrainOptions {
    TrainOptions::default().epochs(3).batch_size(6).seed(5)
}

/// A checkpoint that owns its tensors.
#[derive(Debug, Clone, Default)]
struct State {
    position: Position,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl State {
    fn resume(
        &self,
        trainer: &mut Trainer<f32>,
        net: &mut Sequential<f32>,
    ) -> Result<(), NetError> {
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, dims, values)| (&**name, &dims[..], &values[..]));
        trainer.resume(net, self.position, tensors)
    }
}

/// Stops after a step, and keeps what there is to keep.
#[derive(Default)]
struct Keeper {
    stop_after: Option<u64>,
    epochs: Vec<EpochReport>,
    states: Vec<State>,
}

impl Observer<f32> for Keeper {
    fn on_step(&mut self, report: &StepReport) -> Control {
        if self.stop_after == Some(report.step) { Control::Stop } else { Control::Continue }
    }

    fn on_epoch(&mut self, report: &EpochReport, _: &Sequential<f32>) -> Result<Control, NetError> {
        self.epochs.push(*report);
        Ok(Control::Continue)
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint<'_, f32>) -> Result<(), NetError> {
        let own = |(name, dims, values): (String, &[usize], &[f32])| {
            (name, dims.to_vec(), values.to_vec())
        };
        let tensors = checkpoint.tensors().into_iter().map(own).collect();
        self.states.push(State { position: checkpoint.position(), tensors });
        Ok(())
    }
}

/// Trains from a state, or from the beginning.
fn train(
    options: TrainOptions,
    rule: Rule,
    from: Option<&State>,
    stop_after: Option<u64>,
) -> (Vec<u64>, Keeper) {
    let (mut net, samples) = (net(), samples());
    let mut trainer = Trainer::new(options, rule).expect("the settings fit");
    if let Some(state) = from {
        state.resume(&mut trainer, &mut net).expect("the state fits");
    }
    let mut keeper = Keeper { stop_after, ..Keeper::default() };
    trainer.fit(&mut net, &samples, Some(&samples), &mut keeper).expect("no divergence");
    (parameter_bits(&net), keeper)
}

#[test]
fn stopped_after_any_step_it_ends_in_the_same_weights() {
    let warm = |schedule| options().schedule(schedule).warm_up(3);
    for (options, rule) in [
        (options(), Rule::sgd(0.05)),
        (warm(Schedule::Linear), Rule::momentum(0.05, 0.9)),
        (warm(Schedule::Cosine).average(Some(0.9)), Rule::adam(0.01)),
        (warm(Schedule::Step { epochs: 1, factor: 0.5 }), Rule::adam_w(0.01)),
        (options().average(Some(0.5)), Rule::rms_prop(0.001)),
    ] {
        let (expected, whole) = train(options, rule, None, None);
        for step in 1..=12 {
            let (_, stopped) = train(options, rule, None, Some(step));
            let state = stopped.states.last().expect("it was kept");
            assert_eq!(state.position.step, step);
            let (weights, rest) = train(options, rule, Some(state), None);
            assert!(weights == expected, "{rule:?}, stopped after step {step}");
            let reports: Vec<_> = stopped.epochs.iter().chain(&rest.epochs).copied().collect();
            assert_eq!(reports, whole.epochs, "{rule:?}, stopped after step {step}");
        }
    }
}

#[test]
fn more_epochs_can_be_added() {
    let (options, rule) = (options().average(Some(0.9)), Rule::adam(0.01));
    let (expected, whole) = train(options, rule, None, None);
    let (_, first) = train(options.epochs(1), rule, None, None);
    let state = first.states.last().unwrap();
    assert_eq!(state.position, Position { epochs: 1, step: 4, ..Position::default() });
    let (weights, rest) = train(options, rule, Some(state), None);
    assert!(weights == expected);
    assert_eq!(rest.epochs.len(), 2);
    assert_eq!(rest.epochs, whole.epochs[1..]);

    // Nothing is left to do: the weights that count are those of the average.
    let done = whole.states.last().unwrap();
    let (weights, nothing) = train(options, rule, Some(done), None);
    assert!(weights == expected && nothing.epochs.is_empty());
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let (options, rule) = (options().average(Some(0.9)), Rule::adam(0.01));
    let (_, keeper) = train(options, rule, None, Some(6));
    let state = keeper.states.last().unwrap();
    let mut bad = state.clone();
    bad.tensors.retain(|(name, ..)| name != "moment2/conv1.bias");
    bad.tensors[0].1 = vec![27];
    bad.tensors.push(("moment1/other".to_owned(), vec![1], vec![0.0]));
    let mut net = net();
    let before = parameter_bits(&net);
    let mut trainer = Trainer::new(options, rule).unwrap();
    let error = bad.resume(&mut trainer, &mut net).unwrap_err().to_string();
    for part in [
        "weights/conv1.weight has the shape [27] with 27 values, [3, 1, 3, 3] is needed",
        "moment2/conv1.bias is missing",
        "moment1/other is not part of it",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(parameter_bits(&net) == before);

    // Another optimiser keeps other moments; without an average there is one too much.
    for (options, rule) in [(options, Rule::momentum(0.1, 0.9)), (options.average(None), rule)] {
        let mut trainer = Trainer::new(options, rule).unwrap();
        let error = state.resume(&mut trainer, &mut net).unwrap_err();
        assert!(matches!(error, NetError::Checkpoint { .. }), "{error}");
    }

    // Batches of another size: an epoch has other steps.
    let mut trainer = Trainer::new(options.batch_size(10), rule).unwrap();
    state.resume(&mut trainer, &mut net).unwrap();
    let before = parameter_bits(&net);
    let error = trainer.fit(&mut net, &samples(), None, &mut ()).unwrap_err().to_string();
    assert!(error.contains("after step 6, 2 steps into epoch 2"), "{error}");
    assert!(error.contains("an epoch of these images has 2 steps"), "{error}");
    assert!(parameter_bits(&net) == before);
}

/// Files of states are not trusted: what they have counted may be any numbers.
#[test]
fn a_position_that_no_training_can_have_is_refused() {
    let (options, rule) = (options(), Rule::sgd(0.1));
    let (_, keeper) = train(options, rule, None, Some(6));
    let state = keeper.states.last().unwrap();
    let good = state.position;
    assert_eq!((good.step_in_epoch, good.images), (2, 12));
    for (position, expected) in [
        (Position { images: usize::MAX, ..good }, "images in 2 steps of 6"),
        (Position { images: 11, ..good }, "of 11 images in 2 steps of 6"),
        (Position { correct: 13, ..good }, "it has recognised 13 of 12 images"),
        (Position { epochs: usize::MAX, step: u64::MAX, ..good }, "2 steps into epoch"),
    ] {
        let (mut net, mut trainer) = (net(), Trainer::new(options, rule).unwrap());
        State { position, ..state.clone() }.resume(&mut trainer, &mut net).unwrap();
        let before = parameter_bits(&net);
        let error = trainer.fit(&mut net, &samples(), None, &mut ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(parameter_bits(&net) == before);
    }

    // An epoch of one step: here the last numbers fit together.
    let position = Position { epochs: usize::MAX, step: u64::MAX, ..Position::default() };
    let options = options.batch_size(IMAGES).epochs(usize::MAX);
    let (mut net, mut trainer) = (net(), Trainer::new(options, rule).unwrap());
    State { position, ..state.clone() }.resume(&mut trainer, &mut net).unwrap();
    let error = trainer.fit(&mut net, &samples(), None, &mut ()).unwrap_err();
    assert!(matches!(error, NetError::Checkpoint { .. }), "{error}");
}

#[test]
fn settings_of_a_schedule_are_checked() {
    for (epochs, factor, expected) in [
        (0, 0.1, "the epochs of a step schedule is 0"),
        (1, 0.0, "the factor of a step schedule is 0"),
        (1, f64::NAN, "the factor of a step schedule is NaN"),
    ] {
        let options = options().schedule(Schedule::Step { epochs, factor });
        let error = Trainer::<f32>::new(options, Rule::sgd(0.1)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
