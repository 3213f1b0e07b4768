//! What a training has to remember to go on where it was stopped.

use std::collections::BTreeMap;
use std::fmt;

use super::{Evaluation, Resumed, Trainer};
use crate::average::Average;
use crate::{BatchLoss, NetError, NetScalar, Optimizer, Sequential};

/// Where a training stands between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Position {
    /// Epochs that are done.
    pub epochs: usize,
    /// Steps that are done, over the whole training.
    pub step: u64,
    /// Steps that are done of the epoch that has begun.
    pub step_in_epoch: usize,
    /// The loss, summed over the images of these steps.
    pub loss_sum: f64,
    /// How many of these images were recognised.
    pub correct: usize,
    /// How many images these were.
    pub images: usize,
}

impl Position {
    /// Takes a step in.
    pub(super) fn add(&mut self, step: u64, loss: &BatchLoss) {
        self.step = step;
        self.step_in_epoch += 1;
        self.loss_sum += loss.mean * loss.images as f64;
        self.correct += loss.correct;
        self.images += loss.images;
    }

    /// Loss and hits of the epoch so far.
    pub(super) fn train(&self) -> Evaluation {
        let Self { loss_sum, correct, images, .. } = *self;
        Evaluation { loss: loss_sum / images as f64, correct, images }
    }
}

/// A training between two steps: all that [`Trainer::resume`] needs beside its settings.
pub struct Checkpoint<'a, T> {
    position: Position,
    net: &'a Sequential<T>,
    optimizer: &'a Optimizer<T>,
    average: Option<&'a Average<T>>,
}

impl<T> fmt::Debug for Checkpoint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("position", &self.position).finish_non_exhaustive()
    }
}

/// A tensor of a [`Checkpoint`]: its name, its sizes as [`Parameter::dims`](crate::Parameter::dims)
/// gives them, and its values.
pub type NamedTensor<'a, T> = (String, &'a [usize], &'a [T]);

/// What stands before the names of tensors, by what they are.
const WEIGHTS: &str = "weights/";
const AVERAGE: &str = "average/";
/// First and second moment.
const MOMENTS: [&str; 2] = ["moment1/", "moment2/"];

impl<'a, T: NetScalar> Checkpoint<'a, T> {
    /// Where the training stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// For every parameter its value (not the average), under its name after `weights/`; likewise
    /// after `average/` and after `moment1/` and `moment2/` what there is of these.
    #[must_use]
    pub fn tensors(&self) -> Vec<NamedTensor<'a, T>> {
        let mut tensors = Vec::new();
        for (index, parameter) in self.net.parameters().enumerate() {
            let mut put = |kind: &str, values: &'a [T]| {
                if !values.is_empty() {
                    tensors.push((format!("{kind}{}", parameter.name()), parameter.dims(), values));
                }
            };
            put(WEIGHTS, parameter.value().data());
            put(AVERAGE, self.average.map_or(&[], |average| average.values(index)));
            for (kind, values) in MOMENTS.into_iter().zip(self.optimizer.moments(index)) {
                put(kind, values);
            }
        }
        tensors
    }
}

impl<T: NetScalar> Trainer<T> {
    /// Lets the next [`fit`](Self::fit) go on where a training was stopped, as if it had not been:
    /// with the same settings, network and images it leaves the same weights, bit for bit.
    ///
    /// The network must have been built with the same seed, on which dropout depends; its weights
    /// are replaced. There may be more epochs than before. `tensors` are those of
    /// [`Checkpoint::tensors`], in any order.
    ///
    /// # Errors
    ///
    /// [`NetError::Checkpoint`] lists every tensor that is missing, left over or of another shape;
    /// network and trainer are then unchanged. Whether the position fits the images, `fit` finds
    /// out.
    pub fn resume<'a>(
        &mut self,
        net: &mut Sequential<T>,
        position: Position,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [T])>,
    ) -> Result<(), NetError> {
        let mut given = Given {
            tensors: tensors.into_iter().map(|(name, dims, data)| (name, (dims, data))).collect(),
            problems: Vec::new(),
        };
        let weights = given.take(net, WEIGHTS, false);
        let average = self.options.average.map(|decay| (decay, given.take(net, AVERAGE, false)));
        let moments = if position.step == 0 { 0 } else { self.optimizer.rule().moments() };
        let moments = MOMENTS[..moments].iter().map(|kind| given.take(net, kind, true));
        let moments: Vec<Vec<Vec<T>>> = moments.collect();
        let Given { tensors, mut problems } = given;
        problems.extend(tensors.keys().map(|name| format!("{name} is not part of it")));
        if !problems.is_empty() {
            return Err(NetError::Checkpoint { problems });
        }
        for (parameter, values) in net.parameters_mut().zip(weights) {
            parameter.value_mut().copy_from_slice(&values);
        }
        self.optimizer.restore(position.step, moments);
        self.step = position.step;
        let average = average.map(|(decay, values)| Average::restored(decay, values));
        self.resumed = Some(Resumed { position, average });
        Ok(())
    }

    /// Where `fit` begins: where the training was stopped, or at the beginning.
    pub(super) fn begin(
        &mut self,
        net: &Sequential<T>,
        images: usize,
    ) -> Result<(Position, Option<Average<T>>), NetError> {
        let batch = self.options.batch_size;
        let steps_per_epoch = images.div_ceil(batch);
        let Some(Resumed { position, average }) = self.resumed.take() else {
            let average = self.options.average.map(|decay| Average::new(net, decay));
            return Ok((Position::default(), average));
        };
        let Position { epochs, step, step_in_epoch, correct, images: seen, .. } = position;
        // There must be a number for the epoch that follows, and one for the step.
        let countable = epochs < usize::MAX && step < u64::MAX;
        let whole = (epochs as u64).checked_mul(steps_per_epoch as u64);
        let fits = countable
            && step_in_epoch <= steps_per_epoch
            && whole.and_then(|whole| whole.checked_add(step_in_epoch as u64)) == Some(step);
        // Sums that no training can have would overflow.
        let counted = seen == step_in_epoch.saturating_mul(batch).min(images) && correct <= seen;
        let problem = match (fits, counted) {
            (true, true) => return Ok((position, average)),
            (true, false) => format!(
                "it has recognised {correct} of {seen} images in {step_in_epoch} steps of {batch}, \
                 and there are {images}"
            ),
            (false, _) => format!(
                "it was stopped after step {step}, {step_in_epoch} steps into epoch {}, but an \
                 epoch of these images has {steps_per_epoch} steps",
                epochs.saturating_add(1)
            ),
        };
        Err(NetError::Checkpoint { problems: vec![problem] })
    }

    /// The training as it stands.
    pub(super) fn checkpoint<'a>(
        &'a self,
        position: Position,
        net: &'a Sequential<T>,
        average: Option<&'a Average<T>>,
    ) -> Checkpoint<'a, T> {
        Checkpoint { position, net, optimizer: &self.optimizer, average }
    }
}

/// The tensors that were given and not yet asked for, and what is wrong with the others.
struct Given<'a, T> {
    tensors: BTreeMap<&'a str, (&'a [usize], &'a [T])>,
    problems: Vec<String>,
}

impl<T: NetScalar> Given<'_, T> {
    /// The values of one kind for every parameter, or for those that are trained alone: the others
    /// get none.
    fn take(&mut self, net: &Sequential<T>, kind: &str, trained: bool) -> Vec<Vec<T>> {
        let mut all = Vec::new();
        for parameter in net.parameters() {
            let mut found = Vec::new();
            if parameter.is_trained() || !trained {
                let name = format!("{kind}{}", parameter.name());
                match self.tensors.remove(name.as_str()) {
                    None => self.problems.push(format!("{name} is missing")),
                    Some((dims, values))
                        if dims != parameter.dims() || values.len() != parameter.shape().len() =>
                    {
                        self.problems.push(format!(
                            "{name} has the shape {dims:?} with {} values, {:?} is needed",
                            values.len(),
                            parameter.dims()
                        ));
                    }
                    Some((_, values)) => found = values.to_vec(),
                }
            }
            all.push(found);
        }
        all
    }
}
