//! Optimisers, with PyTorch's definitions.

mod change;

use crate::{NetError, NetScalar};
use change::{Change, Part};

/// How a parameter `p` follows its gradient `g`, at step `t` (counted from 1).
///
/// `weight_decay` is added to the gradient as `weight_decay * p`, except in [`AdamW`](Rule::AdamW).
/// Moments begin at 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// `p -= lr * d`, where without momentum `d = g`; with it `v = momentum * v + g` (`v = g` at
    /// the first step) and `d = v`, or with Nesterov's `d = g + momentum * v`.
    Sgd {
        /// The learning rate.
        lr: f64,
        /// The momentum; 0 for none.
        momentum: f64,
        /// Whether the momentum is Nesterov's.
        nesterov: bool,
        /// The weight decay.
        weight_decay: f64,
    },
    /// `s += g^2; p -= lr * g / (sqrt(s) + eps)`. Duchi et al., 2011.
    AdaGrad {
        /// The learning rate.
        lr: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// The weight decay.
        weight_decay: f64,
    },
    /// `s = alpha * s + (1 - alpha) * g^2; p -= lr * g / (sqrt(s) + eps)`. Hinton, 2012.
    RmsProp {
        /// The learning rate.
        lr: f64,
        /// How much of the old average stays.
        alpha: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// The weight decay.
        weight_decay: f64,
    },
    /// `m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;`
    /// `p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)`. Kingma and Ba, 2014.
    Adam {
        /// The learning rate.
        lr: f64,
        /// How much of the old mean stays.
        beta1: f64,
        /// How much of the old mean square stays.
        beta2: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// The weight decay.
        weight_decay: f64,
    },
    /// Adam after `p -= lr * weight_decay * p`. Loshchilov and Hutter, 2017.
    AdamW {
        /// The learning rate.
        lr: f64,
        /// How much of the old mean stays.
        beta1: f64,
        /// How much of the old mean square stays.
        beta2: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// The weight decay.
        weight_decay: f64,
    },
}

impl Rule {
    /// Plain stochastic gradient descent.
    #[must_use]
    pub const fn sgd(lr: f64) -> Self {
        Self::Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// Gradient descent with momentum.
    #[must_use]
    pub const fn momentum(lr: f64, momentum: f64) -> Self {
        Self::Sgd { lr, momentum, nesterov: false, weight_decay: 0.0 }
    }

    /// Gradient descent with Nesterov's momentum.
    #[must_use]
    pub const fn nesterov(lr: f64, momentum: f64) -> Self {
        Self::Sgd { lr, momentum, nesterov: true, weight_decay: 0.0 }
    }

    /// AdaGrad with eps 1e-10.
    #[must_use]
    pub const fn ada_grad(lr: f64) -> Self {
        Self::AdaGrad { lr, eps: 1e-10, weight_decay: 0.0 }
    }

    /// RMSprop with alpha 0.99 and eps 1e-8.
    #[must_use]
    pub const fn rms_prop(lr: f64) -> Self {
        Self::RmsProp { lr, alpha: 0.99, eps: 1e-8, weight_decay: 0.0 }
    }

    /// Adam with the betas 0.9 and 0.999 and eps 1e-8.
    #[must_use]
    pub const fn adam(lr: f64) -> Self {
        Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }

    /// AdamW with the betas 0.9 and 0.999, eps 1e-8 and weight decay 0.01.
    #[must_use]
    pub const fn adam_w(lr: f64) -> Self {
        Self::AdamW { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }

    /// The name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd { nesterov: true, .. } => "nesterov",
            Self::Sgd { momentum: 0.0, .. } => "sgd",
            Self::Sgd { .. } => "momentum",
            Self::AdaGrad { .. } => "adagrad",
            Self::RmsProp { .. } => "rmsprop",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }

    /// The learning rate.
    #[must_use]
    pub const fn learning_rate(self) -> f64 {
        match self {
            Self::Sgd { lr, .. }
            | Self::AdaGrad { lr, .. }
            | Self::RmsProp { lr, .. }
            | Self::Adam { lr, .. }
            | Self::AdamW { lr, .. } => lr,
        }
    }

    /// The same rule at another learning rate.
    #[must_use]
    pub const fn with_learning_rate(mut self, rate: f64) -> Self {
        match &mut self {
            Self::Sgd { lr, .. }
            | Self::AdaGrad { lr, .. }
            | Self::RmsProp { lr, .. }
            | Self::Adam { lr, .. }
            | Self::AdamW { lr, .. } => *lr = rate,
        }
        self
    }

    /// The same rule with another weight decay.
    #[must_use]
    pub const fn with_weight_decay(mut self, decay: f64) -> Self {
        match &mut self {
            Self::Sgd { weight_decay, .. }
            | Self::AdaGrad { weight_decay, .. }
            | Self::RmsProp { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. } => *weight_decay = decay,
        }
        self
    }

    /// The weight decay.
    #[must_use]
    pub const fn weight_decay(self) -> f64 {
        match self {
            Self::Sgd { weight_decay, .. }
            | Self::AdaGrad { weight_decay, .. }
            | Self::RmsProp { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. } => weight_decay,
        }
    }

    /// How many moments it keeps of each parameter.
    pub(crate) const fn moments(self) -> usize {
        match self {
            Self::Sgd { momentum: 0.0, .. } => 0,
            Self::Sgd { .. } | Self::AdaGrad { .. } | Self::RmsProp { .. } => 1,
            Self::Adam { .. } | Self::AdamW { .. } => 2,
        }
    }

    /// Whether every number is finite, rates and eps are not negative, and betas lie below 1.
    fn validate(self) -> Result<(), NetError> {
        let at_least_0 = |setting, value: f64| {
            let fits = value >= 0.0 && value.is_finite();
            fits.then_some(()).ok_or(NetError::Setting {
                setting,
                value,
                allowed: "a finite number of at least 0 would fit",
            })
        };
        let below_1 = |setting, value: f64| {
            let fits = (0.0..1.0).contains(&value);
            fits.then_some(()).ok_or(NetError::Setting {
                setting,
                value,
                allowed: "at least 0 and less than 1 would fit",
            })
        };
        at_least_0("the learning rate", self.learning_rate())?;
        match self {
            Self::Sgd { momentum, weight_decay, .. } => {
                at_least_0("the momentum", momentum)?;
                at_least_0("the weight decay", weight_decay)
            }
            Self::AdaGrad { eps, weight_decay, .. } => {
                at_least_0("eps", eps)?;
                at_least_0("the weight decay", weight_decay)
            }
            Self::RmsProp { alpha, eps, weight_decay, .. } => {
                below_1("alpha", alpha)?;
                at_least_0("eps", eps)?;
                at_least_0("the weight decay", weight_decay)
            }
            Self::Adam { beta1, beta2, eps, weight_decay, .. }
            | Self::AdamW { beta1, beta2, eps, weight_decay, .. } => {
                below_1("beta1", beta1)?;
                below_1("beta2", beta2)?;
                at_least_0("eps", eps)?;
                at_least_0("the weight decay", weight_decay)
            }
        }
    }
}

/// A rule with its memory: the moments of every parameter and the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimizer<T> {
    rule: Rule,
    step: u64,
    /// What the learning rate of the rule is multiplied by.
    scale: f64,
    /// First and second moment of each parameter; empty where the rule has none.
    moments: Vec<[Vec<T>; 2]>,
}

impl<T: NetScalar> Optimizer<T> {
    /// An optimiser that has made no step yet.
    ///
    /// # Errors
    ///
    /// [`NetError::Setting`] if a number of the rule is out of its range.
    pub fn new(rule: Rule) -> Result<Self, NetError> {
        rule.validate()?;
        Ok(Self { rule, step: 0, scale: 1.0, moments: Vec::new() })
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// How many steps have begun.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Multiplies the learning rate of the rule by `scale` from now on (not by the scale before).
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// First and second moment of a parameter, by its number; empty where there is none.
    pub(crate) fn moments(&self, index: usize) -> [&[T]; 2] {
        self.moments.get(index).map_or([&[], &[]], |[first, second]| [first, second])
    }

    /// Goes on after so many steps, with the moments of every parameter: all the first ones, then
    /// all the second ones, as far as the rule has them.
    pub(crate) fn restore(&mut self, step: u64, moments: Vec<Vec<Vec<T>>>) {
        self.step = step;
        self.moments.clear();
        for (order, values) in moments.into_iter().enumerate() {
            self.moments.resize_with(values.len(), Default::default);
            for (moments, values) in self.moments.iter_mut().zip(values) {
                moments[order] = values;
            }
        }
    }

    /// Begins a step, in which every parameter is then [updated](Self::update_all) once.
    pub fn begin_step(&mut self) {
        self.step += 1;
    }

    /// Changes the values of parameter `index` along their gradient.
    ///
    /// The index tells parameters apart from step to step.
    ///
    /// # Panics
    ///
    /// If value and gradient, or the values of one index in two steps, differ in length.
    pub fn update(&mut self, index: usize, value: &mut [T], grad: &[T]) {
        self.update_all([(index, value, grad)]);
    }

    /// [Updates](Self::update) many parameters, each given as index, value and gradient, in one
    /// pass on all cores: a core takes many small parameters, or a part of a large one. The
    /// indices ascend.
    ///
    /// # Panics
    ///
    /// As [`update`](Self::update), and if the indices don't ascend.
    pub fn update_all<'a, I>(&mut self, parameters: I)
    where
        I: IntoIterator<Item = (usize, &'a mut [T], &'a [T])>,
    {
        let change = Change::new(self.rule, self.step, self.scale);
        let count = self.rule.moments();
        let mut parameters = parameters.into_iter();
        loop {
            let mut given: [(usize, &mut [T], &[T]); GROUP] =
                std::array::from_fn(|_| (0, &mut [][..], &[][..]));
            let mut len = 0;
            for (place, parameter) in given.iter_mut().zip(&mut parameters) {
                *place = parameter;
                len += 1;
            }
            if len == 0 {
                return;
            }
            for (index, value, grad) in &given[..len] {
                assert_eq!(value.len(), grad.len(), "value and gradient of parameter {index}");
                if self.moments.len() <= *index {
                    self.moments.resize_with(index + 1, Default::default);
                }
            }
            let mut parts: [Part<'_, T>; GROUP] = std::array::from_fn(|_| Part::default());
            let (mut rest, mut next) = (&mut self.moments[..], 0);
            for (part, (index, value, grad)) in parts.iter_mut().zip(given).take(len) {
                let skipped = index.checked_sub(next).expect("the indices of parameters ascend");
                let (moments, behind) =
                    rest[skipped..].split_first_mut().expect("there are moments of each");
                (rest, next) = (behind, index + 1);
                let len = value.len();
                let mut order = 0;
                let [first, second] = moments.each_mut().map(|moment| {
                    order += 1;
                    if order > count { &mut [][..] } else { grown(moment, len) }
                });
                *part = Part { value, grad, first, second };
            }
            change.apply_all(&mut parts[..len]);
        }
    }
}

/// How many parameters are taken at a time, at most: most networks have fewer.
const GROUP: usize = 64;

fn grown<T: NetScalar>(moment: &mut Vec<T>, len: usize) -> &mut [T] {
    if moment.is_empty() {
        moment.resize(len, T::ZERO);
    }
    assert_eq!(moment.len(), len, "a parameter changed its length between two steps");
    moment
}
