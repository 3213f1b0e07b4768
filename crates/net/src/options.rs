//! The settings of a training.

use crate::Schedule;

/// The settings of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TrainOptions {
    /// How many times every image is seen.
    pub epochs: usize,
    /// Images per step; the last step of an epoch has what is left.
    pub batch_size: usize,
    /// Images per pass in evaluation. Changes memory and speed alone.
    pub eval_batch_size: usize,
    /// What the order of the images follows from.
    pub seed: u64,
    /// How the learning rate changes over the training.
    pub schedule: Schedule,
    /// In how many steps the learning rate rises to that of the rule, before the schedule begins;
    /// see [`TrainOptions::scale`].
    pub warm_up: u64,
    /// How much of a running average of the weights stays at each step; `None` for no average.
    ///
    /// With it, the weights that are evaluated, reported and left at the end are the averaged
    /// ones: `average = d * average + (1 - d) * weights`, with a smaller `d` in the first steps
    /// (`step / (step + 10)`), so that the weights of the beginning are soon forgotten. Polyak
    /// and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    pub average: Option<f64>,
    /// How much of each label is spread over all classes in training; see
    /// [`SoftmaxCrossEntropy::smoothed_loss`](crate::SoftmaxCrossEntropy::smoothed_loss). The loss of a step is then the smoothed one, that
    /// of an evaluation is not.
    pub label_smoothing: f64,
}

impl Default for TrainOptions {
    /// 20 epochs of batches of 100 at a constant learning rate, as the book.
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 100,
            eval_batch_size: 500,
            seed: 0,
            schedule: Schedule::Constant,
            warm_up: 0,
            average: None,
            label_smoothing: 0.0,
        }
    }
}

impl TrainOptions {
    /// The defaults with so many epochs.
    #[must_use]
    pub const fn epochs(self, epochs: usize) -> Self {
        Self { epochs, ..self }
    }

    /// The same with so many images per step.
    #[must_use]
    pub const fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// The same with another course of the learning rate.
    #[must_use]
    pub const fn schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// The same with a learning rate that rises over the first so many steps.
    #[must_use]
    pub const fn warm_up(self, steps: u64) -> Self {
        Self { warm_up: steps, ..self }
    }

    /// The same with a running average of the weights, of which so much stays at each step.
    #[must_use]
    pub const fn average(self, average: Option<f64>) -> Self {
        Self { average, ..self }
    }

    /// The same with so much of each label spread over all classes.
    #[must_use]
    pub const fn label_smoothing(self, label_smoothing: f64) -> Self {
        Self { label_smoothing, ..self }
    }

    /// The same with another order of the images.
    #[must_use]
    pub const fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What the learning rate of the rule is multiplied by in a step, counted from 1 over the
    /// whole training, where an epoch has so many steps.
    ///
    /// In the `w` steps of the warm-up it rises in a straight line, `t / (w + 1)` in step `t`;
    /// then the [schedule](Schedule) follows from its beginning, over the steps that are left.
    /// As PyTorch's `LinearLR(start_factor = 1 / (w + 1), total_iters = w)` before a scheduler.
    #[must_use]
    pub fn scale(&self, step: u64, steps_per_epoch: usize) -> f64 {
        let per_epoch = steps_per_epoch as u64;
        if step <= self.warm_up {
            return step as f64 / (self.warm_up as f64 + 1.0);
        }
        let (done, warm_up) = (step - 1 - self.warm_up, self.warm_up);
        let steps = (self.epochs as u64).saturating_mul(per_epoch).saturating_sub(warm_up);
        self.schedule.factor(done, steps, per_epoch)
    }
}
