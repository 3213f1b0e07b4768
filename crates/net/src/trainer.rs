//! Training: epochs over shuffled batches.

mod checkpoint;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use tensor4::{Shape4, View4};

use crate::average::Average;
use crate::loss::check_smoothing;
use crate::non_finite::first_non_finite;
use crate::tape::Buffer;
use crate::{
    BatchLoss, Mode, NetError, NetScalar, NonFinite, Optimizer, Samples, Seeds, Sequential,
    SoftmaxCrossEntropy, Tape, TrainOptions,
};

pub use checkpoint::{Checkpoint, NamedTensor, Position};

/// How a network did on a set of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The loss, averaged over the images.
    pub loss: f64,
    /// How many were recognised.
    pub correct: usize,
    /// How many there were.
    pub images: usize,
}

impl Evaluation {
    /// The part that was recognised, from 0 to 1; NaN for no images.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

/// One step, after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// How many epochs there will be.
    pub epochs: usize,
    /// The step, from 1, over the whole training.
    pub step: u64,
    /// The step within the epoch, from 1.
    pub step_in_epoch: usize,
    /// How many steps an epoch has.
    pub steps_per_epoch: usize,
    /// The loss of the step's batch, before the step changed the weights.
    pub loss: f64,
    /// How many images of the batch were recognised.
    pub correct: usize,
    /// How many images the batch had.
    pub images: usize,
}

/// One epoch, after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// How many epochs there will be.
    pub epochs: usize,
    /// Steps since training began.
    pub step: u64,
    /// Loss and hits over the batches of the epoch, each before its step.
    pub train: Evaluation,
    /// The test images after the epoch, if there are any.
    pub test: Option<Evaluation>,
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// It does.
    Continue,
    /// It ends here, with the weights as they are.
    Stop,
}

/// Watches a training: shows progress, writes files, ends it early.
pub trait Observer<T> {
    /// After every step.
    fn on_step(&mut self, _report: &StepReport) -> Control {
        Control::Continue
    }

    /// After every epoch, with all weights finite.
    ///
    /// # Errors
    ///
    /// An error ends the training with it.
    fn on_epoch(
        &mut self,
        _report: &EpochReport,
        _net: &Sequential<T>,
    ) -> Result<Control, NetError> {
        Ok(Control::Continue)
    }

    /// After every epoch (after [`on_epoch`](Self::on_epoch)), and after a step that ended the
    /// training: what is needed to [go on from here](Trainer::resume).
    ///
    /// # Errors
    ///
    /// An error ends the training with it.
    fn on_checkpoint(&mut self, _checkpoint: &Checkpoint<'_, T>) -> Result<(), NetError> {
        Ok(())
    }
}

/// An observer that looks away.
impl<T> Observer<T> for () {}

/// Trains a network on labelled images with softmax and cross-entropy.
///
/// The run follows from the seeds of network and options alone: the same on any number of
/// threads.
///
/// ```
/// use net::{Optimizer, Rule, TensorSamples, TrainOptions, Trainer, models::SimpleConvNet};
/// use tensor4::{Shape4, Tensor4};
///
/// // Eight images of which the brighter half has the label 1.
/// let images = Tensor4::<f32>::from_fn(Shape4::new(8, 1, 12, 12)?, |n, _, _, _| n as f32 / 8.0);
/// let samples = TensorSamples::new(images, vec![0, 0, 0, 0, 1, 1, 1, 1])?;
///
/// let mut net = SimpleConvNet::default().input(1, 12, 12).outputs(2).build::<f32>(1)?;
/// let mut trainer = Trainer::new(TrainOptions::default().epochs(30).batch_size(4), Rule::adam(0.01))?;
/// let epochs = trainer.fit(&mut net, &samples, Some(&samples), &mut ())?;
/// assert_eq!(epochs.last().unwrap().test.unwrap().correct, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trainer<T> {
    options: TrainOptions,
    optimizer: Optimizer<T>,
    step: u64,
    /// Where the next [`fit`](Trainer::fit) begins, if not at the beginning.
    resumed: Option<Resumed<T>>,
}

/// A training that was stopped, as far as network and optimiser don't hold it.
#[derive(Debug)]
struct Resumed<T> {
    position: Position,
    average: Option<Average<T>>,
}

impl<T: NetScalar> Trainer<T> {
    /// A training that has not begun.
    ///
    /// # Errors
    ///
    /// [`NetError::Setting`] if a batch size is 0, or the rule, the schedule, the average or the
    /// smoothing out of its range.
    pub fn new(options: TrainOptions, rule: crate::Rule) -> Result<Self, NetError> {
        for (setting, size) in [
            ("the batch size", options.batch_size),
            ("the batch size of evaluation", options.eval_batch_size),
        ] {
            if size == 0 {
                let allowed = "at least 1 would fit";
                return Err(NetError::Setting { setting, value: 0.0, allowed });
            }
        }
        if let Some(value) = options.average.filter(|decay| !(0.0..1.0).contains(decay)) {
            let allowed = "at least 0 and less than 1 would fit";
            return Err(NetError::Setting { setting: "the average's decay", value, allowed });
        }
        check_smoothing(options.label_smoothing)?;
        options.schedule.validate()?;
        Ok(Self { options, optimizer: Optimizer::new(rule)?, step: 0, resumed: None })
    }

    /// The optimiser.
    #[must_use]
    pub fn optimizer(&self) -> &Optimizer<T> {
        &self.optimizer
    }

    /// Trains for the epochs of the options, and reports each.
    ///
    /// # Errors
    ///
    /// [`NetError::NonFiniteLoss`] or [`NetError::NonFiniteParameter`] if training diverges: the
    /// weights in `net` are then of no use, those of the last
    /// [`on_epoch`](Observer::on_epoch) still good. Also whatever network, samples and observer
    /// report.
    pub fn fit(
        &mut self,
        net: &mut Sequential<T>,
        train: &dyn Samples<T>,
        test: Option<&dyn Samples<T>>,
        observer: &mut dyn Observer<T>,
    ) -> Result<Vec<EpochReport>, NetError> {
        let mut reports = Vec::new();
        if train.is_empty() {
            return Err(NetError::Samples { message: "there are no images to train on".into() });
        }
        let (mut position, mut average) = self.begin(net, train.len())?;
        let mut memory = Memory::new(train.image_shape());
        for epoch in position.epochs + 1..=self.options.epochs {
            let mut run = Run { train, observer, memory: &mut memory };
            let ended = self.run_epoch(&mut position, net, &mut run, &mut average)?;
            self.check_parameters(net)?;
            if ended {
                observer.on_checkpoint(&self.checkpoint(position, net, average.as_ref()))?;
                break;
            }
            let result = position.train();
            position = Position { epochs: epoch, step: self.step, ..Position::default() };
            // Watchers see the weights that count; the training goes on with its own.
            swap(&mut average, net);
            let test = match test {
                Some(test) => Some(evaluate(net, test, self.options.eval_batch_size)?),
                None => None,
            };
            let epochs = self.options.epochs;
            let report = EpochReport { epoch, epochs, step: self.step, train: result, test };
            reports.push(report);
            let control = observer.on_epoch(&report, net)?;
            swap(&mut average, net);
            observer.on_checkpoint(&self.checkpoint(position, net, average.as_ref()))?;
            if control == Control::Stop {
                break;
            }
        }
        swap(&mut average, net);
        Ok(reports)
    }

    /// The rest of the epoch that has begun; whether the observer ended it.
    fn run_epoch(
        &mut self,
        position: &mut Position,
        net: &mut Sequential<T>,
        run: &mut Run<'_, T>,
        average: &mut Option<Average<T>>,
    ) -> Result<bool, NetError> {
        let Run { train, observer, memory } = run;
        let train = *train;
        let Memory { tape, dlogits, batch, next } = memory;
        let epoch = position.epochs + 1;
        let order = shuffled(train.len(), self.options.seed, epoch);
        let batches = order.chunks(self.options.batch_size);
        let steps_per_epoch = batches.len();
        let mut batches = batches.skip(position.step_in_epoch);
        let mut gathered = batches.next().map(|indices| batch.gather(train, indices));
        while let Some(ready) = gathered {
            ready?;
            self.step += 1;
            let steps = || self.run_step(epoch, steps_per_epoch, net, batch, tape, dlogits);
            // The images of the next step are fetched while this one computes.
            let fetch = || batches.next().map(|indices| next.gather(train, indices));
            let (loss, fetched) = rayon::join(steps, fetch);
            let loss = loss?;
            gathered = fetched;
            std::mem::swap(batch, next);
            if let Some(average) = average {
                average.add(net, self.step);
            }

            position.add(self.step, &loss);
            let report = StepReport {
                epoch,
                epochs: self.options.epochs,
                step: self.step,
                step_in_epoch: position.step_in_epoch,
                steps_per_epoch,
                loss: loss.mean,
                correct: loss.correct,
                images: loss.images,
            };
            if observer.on_step(&report) == Control::Stop {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forward, loss, backward and update for one batch; its loss before the update.
    fn run_step(
        &mut self,
        epoch: usize,
        steps_per_epoch: usize,
        net: &mut Sequential<T>,
        batch: &Batch<T>,
        tape: &mut Tape<T>,
        dlogits: &mut Buffer<T>,
    ) -> Result<BatchLoss, NetError> {
        let mode = Mode::Train { step: self.step };
        let logits = net.forward(batch.x(), tape, mode)?;
        let shape = logits.shape();
        let smoothing = self.options.label_smoothing;
        let dz = Some(dlogits.view_mut(shape));
        let loss = SoftmaxCrossEntropy.smoothed_loss(smoothing, logits, &batch.labels, dz)?;
        if !loss.mean.is_finite() {
            let (step, loss) = (self.step, loss.mean);
            let origin = net.find_non_finite(batch.x(), mode)?.unwrap_or(NonFinite::Loss);
            return Err(NetError::NonFiniteLoss { step, epoch, loss, origin });
        }
        net.backward(dlogits.view(shape), tape)?;
        self.optimizer.set_scale(self.options.scale(self.step, steps_per_epoch));
        net.update(&mut self.optimizer);
        Ok(loss)
    }

    /// Whether every weight is finite still: only such weights are worth keeping.
    fn check_parameters(&self, net: &Sequential<T>) -> Result<(), NetError> {
        for parameter in net.parameters() {
            if let Some(value) = first_non_finite(parameter.value().data()) {
                let (parameter, step) = (parameter.name().to_owned(), self.step);
                return Err(NetError::NonFiniteParameter { parameter, value, step });
            }
        }
        Ok(())
    }
}

/// Exchanges the weights and their average, if there is one.
fn swap<T: NetScalar>(average: &mut Option<Average<T>>, net: &mut Sequential<T>) {
    if let Some(average) = average {
        average.swap(net);
    }
}

/// What an epoch works with.
struct Run<'a, T> {
    train: &'a dyn Samples<T>,
    observer: &'a mut dyn Observer<T>,
    memory: &'a mut Memory<T>,
}

/// The memory of a training, which serves all steps.
struct Memory<T> {
    tape: Tape<T>,
    dlogits: Buffer<T>,
    /// The images at work, and those to come.
    batch: Batch<T>,
    next: Batch<T>,
}

impl<T: NetScalar> Memory<T> {
    fn new(image: Shape4) -> Self {
        let (batch, next) = (Batch::new(image), Batch::new(image));
        Self { tape: Tape::new(), dlogits: Buffer::new(), batch, next }
    }
}

/// The images of one step.
struct Batch<T> {
    shape: Shape4,
    x: Buffer<T>,
    labels: Vec<usize>,
}

impl<T: NetScalar> Batch<T> {
    /// None yet of images of the given shape.
    fn new(image: Shape4) -> Self {
        Self { shape: image, x: Buffer::new(), labels: Vec::new() }
    }

    fn gather(&mut self, samples: &dyn Samples<T>, indices: &[usize]) -> Result<(), NetError> {
        self.shape = samples.image_shape().with_n(indices.len())?;
        self.labels.resize(indices.len(), 0);
        samples.gather(indices, self.x.view_mut(self.shape), &mut self.labels)
    }

    fn x(&self) -> View4<'_, T> {
        self.x.view(self.shape)
    }
}

/// The numbers `0..len` in an order that follows from seed and epoch.
fn shuffled(len: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    let mut seeds = Seeds::new(seed ^ Seeds::new(epoch as u64).draw());
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seeds.draw()));
    order
}

/// Loss and hits of a network on a set of images, `batch_size` of them at a time.
///
/// # Errors
///
/// If the images don't fit the network, a label has no output, or they can't be read.
pub fn evaluate<T: NetScalar>(
    net: &Sequential<T>,
    samples: &dyn Samples<T>,
    batch_size: usize,
) -> Result<Evaluation, NetError> {
    let mut tape = Tape::new();
    let mut batch = Batch::new(samples.image_shape());
    let mut total = Evaluation { loss: 0.0, correct: 0, images: 0 };
    let order: Vec<usize> = (0..samples.len()).collect();
    for indices in order.chunks(batch_size.max(1)) {
        batch.gather(samples, indices)?;
        let logits = net.forward(batch.x(), &mut tape, Mode::Eval)?;
        let loss = SoftmaxCrossEntropy.loss(logits, &batch.labels, None)?;
        total.loss += loss.mean * loss.images as f64;
        total.correct += loss.correct;
        total.images += loss.images;
    }
    total.loss /= total.images as f64;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_an_order_of_its_own() {
        let mut order = shuffled(100, 1, 1);
        assert_eq!(order, shuffled(100, 1, 1));
        assert_ne!(order, shuffled(100, 1, 2));
        assert_ne!(order, shuffled(100, 2, 1));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
