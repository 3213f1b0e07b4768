//! Optimisers, with PyTorch's definitions.

use rayon::prelude::*;

use crate::parallel::update;
use crate::{NetError, NetScalar};

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

    /// Begins a step, in which every parameter is then [updated](Self::update) once.
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
        assert_eq!(value.len(), grad.len(), "value and gradient of parameter {index}");
        if self.moments.len() <= index {
            self.moments.resize_with(index + 1, Default::default);
        }
        let [first, second] = &mut self.moments[index];
        let scalar = T::from_f64;
        let scaled = |lr: f64| lr * self.scale;
        match self.rule {
            Rule::Sgd { lr, momentum: 0.0, weight_decay, .. } => {
                let (lr, decay) = (scalar(scaled(lr)), scalar(weight_decay));
                update(value, grad, |p, g| *p -= lr * (g + decay * *p));
            }
            Rule::Sgd { lr, momentum, nesterov, weight_decay } => {
                let (lr, decay, momentum) =
                    (scalar(scaled(lr)), scalar(weight_decay), scalar(momentum));
                // Moments begin at 0, so that the first step makes v = g.
                for_each_1(value, grad, grown(first, value.len()), |p, g, v| {
                    let g = g + decay * *p;
                    *v = momentum * *v + g;
                    *p -= lr * if nesterov { g + momentum * *v } else { *v };
                });
            }
            Rule::AdaGrad { lr, eps, weight_decay } => {
                let (lr, decay, eps) = (scalar(scaled(lr)), scalar(weight_decay), scalar(eps));
                for_each_1(value, grad, grown(first, value.len()), |p, g, s| {
                    let g = g + decay * *p;
                    *s += g * g;
                    *p -= lr * g / (s.sqrt() + eps);
                });
            }
            Rule::RmsProp { lr, alpha, eps, weight_decay } => {
                let (lr, decay, eps) = (scalar(scaled(lr)), scalar(weight_decay), scalar(eps));
                let (old, new) = (scalar(alpha), scalar(1.0 - alpha));
                for_each_1(value, grad, grown(first, value.len()), |p, g, s| {
                    let g = g + decay * *p;
                    *s = old * *s + new * g * g;
                    *p -= lr * g / (s.sqrt() + eps);
                });
            }
            Rule::Adam { lr, beta1, beta2, eps, weight_decay } => {
                let adam = Adam::new(self.step, scaled(lr), beta1, beta2, eps);
                let decay = scalar(weight_decay);
                let moments = [grown(first, value.len()), grown(second, value.len())];
                for_each_2(value, grad, moments, |p, g, m, v| {
                    let g = g + decay * *p;
                    *p -= adam.change(g, m, v);
                });
            }
            Rule::AdamW { lr, beta1, beta2, eps, weight_decay } => {
                let adam = Adam::new(self.step, scaled(lr), beta1, beta2, eps);
                let kept = scalar(1.0 - scaled(lr) * weight_decay);
                let moments = [grown(first, value.len()), grown(second, value.len())];
                for_each_2(value, grad, moments, |p, g, m, v| {
                    *p = *p * kept - adam.change(g, m, v);
                });
            }
        }
    }
}

/// The constants of one step of Adam.
#[derive(Clone, Copy)]
struct Adam<T> {
    /// `lr / (1 - beta1^t)`.
    rate: T,
    /// `1 / sqrt(1 - beta2^t)`.
    scale: T,
    eps: T,
    beta1: T,
    one_minus_beta1: T,
    beta2: T,
    one_minus_beta2: T,
}

impl<T: NetScalar> Adam<T> {
    fn new(step: u64, lr: f64, beta1: f64, beta2: f64, eps: f64) -> Self {
        let t = step as f64;
        Self {
            rate: T::from_f64(lr / (1.0 - beta1.powf(t))),
            scale: T::from_f64(1.0 / (1.0 - beta2.powf(t)).sqrt()),
            eps: T::from_f64(eps),
            beta1: T::from_f64(beta1),
            one_minus_beta1: T::from_f64(1.0 - beta1),
            beta2: T::from_f64(beta2),
            one_minus_beta2: T::from_f64(1.0 - beta2),
        }
    }

    /// What is taken from the parameter; advances the moments.
    #[inline]
    fn change(&self, g: T, m: &mut T, v: &mut T) -> T {
        *m = self.beta1 * *m + self.one_minus_beta1 * g;
        *v = self.beta2 * *v + self.one_minus_beta2 * g * g;
        self.rate * *m / (v.sqrt() * self.scale + self.eps)
    }
}

/// Elements per task. Every element is independent of the others, so the cut changes no result.
const BLOCK: usize = 1 << 14;

fn grown<T: NetScalar>(moment: &mut Vec<T>, len: usize) -> &mut [T] {
    if moment.is_empty() {
        moment.resize(len, T::ZERO);
    }
    assert_eq!(moment.len(), len, "a parameter changed its length between two steps");
    moment
}

fn for_each_1<T: NetScalar>(
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    f: impl Fn(&mut T, T, &mut T) + Sync,
) {
    let moments = m.par_chunks_mut(BLOCK);
    p.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK)).zip(moments).for_each(|((p, g), m)| {
        for ((p, &g), m) in p.iter_mut().zip(g).zip(m) {
            f(p, g, m);
        }
    });
}

fn for_each_2<T: NetScalar>(
    p: &mut [T],
    g: &[T],
    [m, v]: [&mut [T]; 2],
    f: impl Fn(&mut T, T, &mut T, &mut T) + Sync,
) {
    let moments = m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK));
    p.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK)).zip(moments).for_each(|((p, g), (m, v))| {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            f(p, g, m, v);
        }
    });
}
