//! One step of a rule over many parameters.

use conv::parallel::both;
use conv::{MulAdd, Vectorised, vectorised};

use super::Rule;
use crate::NetScalar;

/// Elements per task. Every element is independent of the others, so the cut changes no result.
const BLOCK: usize = 1 << 14;

/// A parameter, or a part of one.
#[derive(Debug)]
pub(super) struct Part<'a, T> {
    pub(super) value: &'a mut [T],
    pub(super) grad: &'a [T],
    /// The first and the second moment, empty where the rule has none.
    pub(super) first: &'a mut [T],
    pub(super) second: &'a mut [T],
}

impl<T> Default for Part<'_, T> {
    fn default() -> Self {
        Self { value: &mut [], grad: &[], first: &mut [], second: &mut [] }
    }
}

impl<T> Part<'_, T> {
    fn halves(&mut self) -> [Part<'_, T>; 2] {
        let middle = self.value.len() / 2;
        let (value, values) = self.value.split_at_mut(middle);
        let (grad, grads) = self.grad.split_at(middle);
        let (first, firsts) = self.first.split_at_mut(middle.min(self.first.len()));
        let (second, seconds) = self.second.split_at_mut(middle.min(self.second.len()));
        [
            Part { value, grad, first, second },
            Part { value: values, grad: grads, first: firsts, second: seconds },
        ]
    }
}

/// A rule with the constants of one step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<T> {
    Sgd { lr: T, decay: T },
    Momentum { lr: T, decay: T, momentum: T, nesterov: bool },
    AdaGrad { lr: T, decay: T, eps: T },
    RmsProp { lr: T, decay: T, eps: T, old: T, new: T },
    Adam { adam: Adam<T>, decay: T },
    AdamW { adam: Adam<T>, kept: T },
}

impl<T: NetScalar> Change<T> {
    /// The change at step `step`, with the learning rate times `scale`.
    pub(super) fn new(rule: Rule, step: u64, scale: f64) -> Self {
        let scalar = T::from_f64;
        let lr = rule.learning_rate() * scale;
        let (rate, decay) = (scalar(lr), scalar(rule.weight_decay()));
        match rule {
            Rule::Sgd { momentum: 0.0, .. } => Self::Sgd { lr: rate, decay },
            Rule::Sgd { momentum, nesterov, .. } => {
                Self::Momentum { lr: rate, decay, momentum: scalar(momentum), nesterov }
            }
            Rule::AdaGrad { eps, .. } => Self::AdaGrad { lr: rate, decay, eps: scalar(eps) },
            Rule::RmsProp { alpha, eps, .. } => Self::RmsProp {
                lr: rate,
                decay,
                eps: scalar(eps),
                old: scalar(alpha),
                new: scalar(1.0 - alpha),
            },
            Rule::Adam { beta1, beta2, eps, .. } => {
                Self::Adam { adam: Adam::new(step, lr, beta1, beta2, eps), decay }
            }
            Rule::AdamW { beta1, beta2, eps, weight_decay, .. } => Self::AdamW {
                adam: Adam::new(step, lr, beta1, beta2, eps),
                kept: scalar(1.0 - lr * weight_decay),
            },
        }
    }

    /// Changes all of the parts, on all cores.
    pub(super) fn apply_all(self, parts: &mut [Part<'_, T>]) {
        let total: usize = parts.iter().map(|part| part.value.len()).sum();
        if total <= BLOCK {
            for part in parts {
                self.apply(part);
            }
        } else if let [part] = parts {
            let [mut left, mut right] = part.halves();
            let (left, right) = (std::slice::from_mut(&mut left), std::slice::from_mut(&mut right));
            both(|| self.apply_all(left), || self.apply_all(right));
        } else {
            // The first half of the elements, but for the part that lies in both.
            let mut sum = 0;
            let within = |part: &Part<'_, T>| {
                sum += part.value.len();
                sum <= total / 2
            };
            let count = parts.iter().map(within).take_while(|&within| within).count();
            let (left, right) = parts.split_at_mut(count.clamp(1, parts.len() - 1));
            both(|| self.apply_all(left), || self.apply_all(right));
        }
    }

    fn apply(self, part: &mut Part<'_, T>) {
        match self {
            Self::Sgd { lr, decay } => {
                for_each_0(part, |p, g| *p -= lr * (g + decay * *p));
            }
            // Moments begin at 0, so that the first step makes v = g.
            Self::Momentum { lr, decay, momentum, nesterov } => for_each_1(part, |p, g, v| {
                let g = g + decay * *p;
                *v = momentum * *v + g;
                *p -= lr * if nesterov { g + momentum * *v } else { *v };
            }),
            Self::AdaGrad { lr, decay, eps } => for_each_1(part, |p, g, s| {
                let g = g + decay * *p;
                *s += g * g;
                *p -= lr * g / (s.sqrt() + eps);
            }),
            Self::RmsProp { lr, decay, eps, old, new } => for_each_1(part, |p, g, s| {
                let g = g + decay * *p;
                *s = old * *s + new * g * g;
                *p -= lr * g / (s.sqrt() + eps);
            }),
            Self::Adam { adam, decay } => for_each_2(part, |p, g, m, v| {
                let g = g + decay * *p;
                *p -= adam.change(g, m, v);
            }),
            Self::AdamW { adam, kept } => for_each_2(part, |p, g, m, v| {
                *p = *p * kept - adam.change(g, m, v);
            }),
        }
    }
}

/// The constants of one step of Adam.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam<T> {
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
    #[inline(always)]
    fn change(&self, g: T, m: &mut T, v: &mut T) -> T {
        *m = self.beta1 * *m + self.one_minus_beta1 * g;
        *v = self.beta2 * *v + self.one_minus_beta2 * g * g;
        self.rate * *m / (v.sqrt() * self.scale + self.eps)
    }
}

/// A loop over a part with so many moments as `f` takes.
struct Loop<'a, 'p, T, F, const MOMENTS: usize> {
    part: &'a mut Part<'p, T>,
    f: F,
}

impl<T: NetScalar, F: Fn(&mut T, T)> Vectorised for Loop<'_, '_, T, F, 0> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        for (p, &g) in self.part.value.iter_mut().zip(self.part.grad) {
            (self.f)(p, g);
        }
    }
}

impl<T: NetScalar, F: Fn(&mut T, T, &mut T)> Vectorised for Loop<'_, '_, T, F, 1> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Part { value, grad, first, .. } = self.part;
        for ((p, &g), m) in value.iter_mut().zip(*grad).zip(&mut **first) {
            (self.f)(p, g, m);
        }
    }
}

impl<T: NetScalar, F: Fn(&mut T, T, &mut T, &mut T)> Vectorised for Loop<'_, '_, T, F, 2> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Part { value, grad, first, second } = self.part;
        let moments = first.iter_mut().zip(&mut **second);
        for ((p, &g), (m, v)) in value.iter_mut().zip(*grad).zip(moments) {
            (self.f)(p, g, m, v);
        }
    }
}

fn for_each_0<T: NetScalar>(part: &mut Part<'_, T>, f: impl Fn(&mut T, T)) {
    vectorised(Loop::<_, _, 0> { part, f });
}

fn for_each_1<T: NetScalar>(part: &mut Part<'_, T>, f: impl Fn(&mut T, T, &mut T)) {
    vectorised(Loop::<_, _, 1> { part, f });
}

fn for_each_2<T: NetScalar>(part: &mut Part<'_, T>, f: impl Fn(&mut T, T, &mut T, &mut T)) {
    vectorised(Loop::<_, _, 2> { part, f });
}
