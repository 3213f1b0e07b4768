//! The networks that are timed: what they are, and how the library runs them. Nothing else of
//! this package calls a network.

use std::time::Instant;

use im2col::Window;
use net::layers::{affine, avg_pool2d, conv2d, sigmoid};
use net::models::{AlexNet, DeepConvNet, SimpleConvNet};
use net::{
    Builder, Init, LayerSummary, Mode, NetError, NetScalar, Optimizer, Rule, Sequential, Session,
    SoftmaxCrossEntropy, Tape,
};
use tensor4::Tensor4;
use testkit::relative_rms;

use crate::memory::Needed;
use crate::profile::StepTimes;

/// What weights and images follow from.
const SEED: u64 = 1;
/// The learning rate: small, so that the losses of thousands of steps stay finite.
const LEARNING_RATE: f64 = 1e-4;

/// A network that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimedModel {
    /// [`SimpleConvNet`] on MNIST.
    SimpleConvNet,
    /// LeNet-5 with sigmoids and average pools, without trainable coefficients or a table.
    LeNet5,
    /// [`DeepConvNet`] on MNIST.
    DeepConvNet,
    /// [`AlexNet`] on ImageNet.
    AlexNet,
}

/// What is done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Forward, loss, backward and a step of Adam.
    Train,
    /// Forward, with weights that do not change.
    Infer,
}

impl Task {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Train, Self::Infer];

    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
        }
    }
}

impl TimedModel {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::SimpleConvNet, Self::LeNet5, Self::DeepConvNet, Self::AlexNet];

    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SimpleConvNet => "simple-convnet",
            Self::LeNet5 => "lenet5",
            Self::DeepConvNet => "deep-convnet",
            Self::AlexNet => "alexnet",
        }
    }

    /// Images of a batch, unless one says otherwise.
    #[must_use]
    pub const fn batch(self) -> usize {
        match self {
            Self::AlexNet => 16,
            _ => 100,
        }
    }

    /// The layers.
    #[must_use]
    pub fn plan<T: NetScalar>(self) -> Builder<T> {
        match self {
            Self::SimpleConvNet => SimpleConvNet::default().plan(),
            Self::LeNet5 => lenet5(),
            Self::DeepConvNet => DeepConvNet::default().plan(),
            Self::AlexNet => AlexNet::default().plan(),
        }
    }

    /// The network, with weights.
    ///
    /// # Errors
    ///
    /// None: all its shapes fit.
    pub fn build<T: NetScalar>(self) -> Result<Sequential<T>, NetError> {
        self.plan().build(SEED)
    }

    /// Its layers in a table.
    ///
    /// # Errors
    ///
    /// None: all its shapes fit.
    pub fn summary(self) -> Result<Vec<LayerSummary>, NetError> {
        self.build::<f32>()?.summary()
    }

    /// The memory that it must have for a batch of `n` images.
    ///
    /// # Errors
    ///
    /// None: all its shapes fit.
    pub fn needed(self, task: Task, n: usize) -> Result<Needed, NetError> {
        let net = self.build::<f32>()?;
        Ok(Needed::of(task, &net.summary()?, net.input_shape().image_len(), n))
    }

    /// Floating-point operations for one image, two for each multiply-add of the convolutions
    /// and the affine layers by the formula. Training counts each layer three times, but for the
    /// first, which needs no gradient by its input.
    #[must_use]
    pub fn operations(task: Task, layers: &[LayerSummary]) -> f64 {
        let forward: u64 = layers.iter().map(|layer| layer.multiply_adds).sum();
        let first = layers.iter().map(|layer| layer.multiply_adds).find(|&count| count > 0);
        let products = match task {
            Task::Train => 3 * forward - first.unwrap_or(0),
            Task::Infer => forward,
        };
        2.0 * products as f64
    }
}

/// Sigmoids after average pools, as in the paper of 1998, and plain connections.
fn lenet5<T: NetScalar>() -> Builder<T> {
    let pool = || avg_pool2d(Window::square(2).stride(2));
    Sequential::builder(1, 28, 28)
        .init(Init::XavierNormal)
        .add(conv2d(6, Window::square(5).pad(2)))
        .add(sigmoid())
        .add(pool())
        .add(conv2d(16, Window::square(5)))
        .add(sigmoid())
        .add(pool())
        .add(affine(120))
        .add(sigmoid())
        .add(affine(84))
        .add(sigmoid())
        .add(affine(10))
}

/// Images of noise.
fn images<T: NetScalar>(net: &Sequential<T>, n: usize) -> Result<Tensor4<T>, NetError> {
    Ok(Tensor4::uniform(net.input_shape().with_n(n)?, 0.0, 1.0, SEED))
}

/// All that a training step needs from the one before.
pub struct Training<T> {
    net: Sequential<T>,
    optimizer: Optimizer<T>,
    tape: Tape<T>,
    dlogits: Tensor4<T>,
    images: Tensor4<T>,
    labels: Vec<usize>,
}

impl<T: NetScalar> Training<T> {
    /// A network and a batch of images of noise with labels.
    ///
    /// # Errors
    ///
    /// [`NetError::Tensor`] if the batch is too large.
    pub fn new(model: TimedModel, n: usize) -> Result<Self, NetError> {
        let net = model.build::<T>()?;
        let output = net.summary()?.last().map_or(net.input_shape(), |layer| layer.output);
        Ok(Self {
            optimizer: Optimizer::new(Rule::adam(LEARNING_RATE))?,
            tape: Tape::new(),
            dlogits: Tensor4::zeros(output.with_n(n)?),
            images: images(&net, n)?,
            labels: (0..n).map(|image| image * 7 % output.image_len()).collect(),
            net,
        })
    }

    /// Forward, loss, backward, Adam. Returns the loss before the step.
    ///
    /// # Errors
    ///
    /// None: all shapes fit.
    pub fn step(&mut self) -> Result<f64, NetError> {
        let Self { net, optimizer, tape, dlogits, images, labels } = self;
        let logits = net.forward(images.view(), tape, Mode::Train { step: optimizer.steps() })?;
        let loss = SoftmaxCrossEntropy.loss(logits, labels, Some(dlogits.view_mut()))?;
        net.backward(dlogits.view(), tape)?;
        net.update(optimizer);
        Ok(loss.mean)
    }

    /// As [`step`](Self::step), and measures its parts.
    ///
    /// # Errors
    ///
    /// None: all shapes fit.
    pub fn profiled_step(&mut self) -> Result<StepTimes, NetError> {
        let Self { net, optimizer, tape, dlogits, images, labels } = self;
        tape.measure_layers(true);
        let start = Instant::now();
        let logits = net.forward(images.view(), tape, Mode::Train { step: optimizer.steps() })?;
        let before_loss = Instant::now();
        SoftmaxCrossEntropy.loss(logits, labels, Some(dlogits.view_mut()))?;
        let after_loss = Instant::now();
        net.backward(dlogits.view(), tape)?;
        let before_update = Instant::now();
        net.update(optimizer);
        let end = Instant::now();
        Ok(StepTimes {
            layers: tape.layer_times().to_vec(),
            loss: after_loss - before_loss,
            optimiser: end - before_update,
            total: end - start,
        })
    }

    /// The losses of several steps.
    fn losses(&mut self, steps: usize) -> Result<Vec<f64>, NetError> {
        (0..steps).map(|_| self.step()).collect()
    }
}

/// A network that does not change, and a batch.
pub struct Inference<T: NetScalar> {
    session: Session<T>,
    images: Tensor4<T>,
}

impl<T: NetScalar> Inference<T> {
    /// A network and a batch of images of noise.
    ///
    /// # Errors
    ///
    /// [`NetError::Tensor`] if the batch is too large.
    pub fn new(model: TimedModel, n: usize) -> Result<Self, NetError> {
        let net = model.build::<T>()?;
        Ok(Self { images: images(&net, n)?, session: Session::new(net)? })
    }

    /// The logits of the batch.
    ///
    /// # Errors
    ///
    /// None: all shapes fit.
    pub fn run(&self) -> Result<net::Inference<'_, T>, NetError> {
        self.session.infer(self.images.view())
    }
}

/// One network at one task, ready to be timed.
pub enum ModelCase {
    /// Each call is a step.
    Train(Box<Training<f32>>),
    /// Each call computes the same.
    Infer(Box<Inference<f32>>),
}

impl ModelCase {
    /// Makes the network and its batch.
    ///
    /// # Errors
    ///
    /// [`NetError::Tensor`] if the batch is too large.
    pub fn new(model: TimedModel, task: Task, n: usize) -> Result<Self, NetError> {
        Ok(match task {
            Task::Train => Self::Train(Box::new(Training::new(model, n)?)),
            Task::Infer => Self::Infer(Box::new(Inference::new(model, n)?)),
        })
    }

    /// The same, and how far it is from f64: the largest relative error of the losses of two
    /// steps, the second of which depends on every gradient and on Adam; or the relative RMS
    /// error of the logits.
    ///
    /// # Errors
    ///
    /// [`NetError::Tensor`] if the batch is too large.
    pub fn checked(model: TimedModel, task: Task, n: usize) -> Result<(Self, f64), NetError> {
        const STEPS: usize = 2;
        let mut case = Self::new(model, task, n)?;
        let error = match &mut case {
            Self::Train(training) => {
                let expected = Training::<f64>::new(model, n)?.losses(STEPS)?;
                let losses = training.losses(STEPS)?;
                let errors =
                    losses.iter().zip(expected).map(|(loss, right)| (loss / right - 1.0).abs());
                // Not `f64::max`, which would drop a NaN.
                errors.fold(0.0, |a, b| if a >= b || a.is_nan() { a } else { b })
            }
            Self::Infer(inference) => {
                let reference = Inference::<f64>::new(model, n)?;
                relative_rms(inference.run()?.view().data(), reference.run()?.view().data())
            }
        };
        Ok((case, error))
    }

    /// One step, or the logits of the batch: what is timed.
    ///
    /// # Panics
    ///
    /// Never: [`ModelCase::new`] has made everything fit.
    pub fn call(&mut self) {
        match self {
            Self::Train(training) => {
                std::hint::black_box(training.step().expect("the batch is that of the network"));
            }
            Self::Infer(inference) => {
                let logits = inference.run().expect("the batch is that of the network");
                std::hint::black_box(logits.view().data());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ModelCase, Task, TimedModel};

    #[test]
    fn sizes_are_those_of_the_papers() {
        let parameters = |model: TimedModel| {
            let layers = model.summary().expect("a known network");
            layers.iter().map(|layer| layer.parameters).sum::<usize>()
        };
        assert_eq!(parameters(TimedModel::SimpleConvNet), 433_890);
        assert_eq!(parameters(TimedModel::LeNet5), 61_706);
        assert_eq!(parameters(TimedModel::DeepConvNet), 123_552);
    }

    #[test]
    fn training_counts_gradients() {
        let layers = TimedModel::SimpleConvNet.summary().expect("a known network");
        let (conv1, affine1, affine2) = (30 * 24 * 24 * 25, 4320 * 100, 1000);
        let infer = TimedModel::operations(Task::Infer, &layers);
        assert_eq!(infer, 2.0 * f64::from(conv1 + affine1 + affine2));
        let train = TimedModel::operations(Task::Train, &layers);
        assert_eq!(train, 2.0 * f64::from(2 * conv1 + 3 * (affine1 + affine2)));
    }

    #[test]
    fn small_networks_agree_with_f64() {
        for model in [TimedModel::SimpleConvNet, TimedModel::LeNet5, TimedModel::DeepConvNet] {
            for task in Task::ALL {
                let (mut case, error) = ModelCase::checked(model, task, 3).expect("a small batch");
                assert!(error > 0.0 && error < 1e-5, "{model:?} {task:?}: {error}");
                case.call();
            }
        }
    }
}
