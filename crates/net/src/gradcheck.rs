//! Backpropagation against numerical differentiation.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::index::sample;
use tensor4::{Tensor4, View4};

use crate::{Mode, NetError, Sequential, SoftmaxCrossEntropy, Tape};

/// The settings of a [`gradient_check`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct GradientCheck {
    /// At most so many elements of each parameter, and of the input, are checked.
    pub elements: usize,
    /// Which ones follows from this.
    pub seed: u64,
    /// The largest step away from the value of an element.
    pub step: f64,
}

impl Default for GradientCheck {
    /// 50 elements of each, and a step of 0.002.
    fn default() -> Self {
        Self { elements: 50, seed: 0, step: 2e-3 }
    }
}

impl GradientCheck {
    /// The same for at most so many elements of each parameter.
    #[must_use]
    pub const fn elements(self, elements: usize) -> Self {
        Self { elements, ..self }
    }
}

/// How far the two gradients by one parameter are apart.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientError {
    /// The parameter, or `input`.
    pub name: String,
    /// How many elements were checked.
    pub checked: usize,
    /// The largest difference, divided by the largest numerical gradient among them (if that is
    /// 0: the difference itself).
    pub relative: f64,
}

/// Compares the gradients of the loss by every parameter and by the input, as backpropagation
/// gives them, with central differences.
///
/// The differences are extrapolated to a step of 0 (Ridders, "Accurate computation of F'(x) and
/// F'(x) F''(x)", 1982), which leaves an error of 1e-9 or so where the loss is smooth. Steps that
/// cross a kink, such as that of ReLU, are told by their disagreement with smaller ones.
///
/// Runs in training mode, always as the same step, so that random layers draw the same.
///
/// # Errors
///
/// As [`Sequential::forward`] and [`SoftmaxCrossEntropy::loss`].
pub fn gradient_check(
    net: &mut Sequential<f64>,
    x: View4<'_, f64>,
    labels: &[usize],
    options: GradientCheck,
) -> Result<Vec<GradientError>, NetError> {
    let mut tape = Tape::new();
    let mode = Mode::Train { step: 1 };
    let logits = net.forward(x, &mut tape, mode)?;
    let mut dlogits = Tensor4::zeros(logits.shape());
    SoftmaxCrossEntropy.loss(logits, labels, Some(dlogits.view_mut()))?;
    let change = LossChange::from(logits, labels);
    let dx = net.backward_to_input(dlogits.view(), &mut tape)?;

    let mut loss = |net: &Sequential<f64>, x: View4<'_, f64>| -> Result<f64, NetError> {
        Ok(change.to(net.forward(x, &mut tape, mode)?))
    };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let mut draw = |len: usize| sample(&mut rng, len, options.elements.min(len)).into_vec();

    let mut errors = Vec::new();
    for index in 0..net.parameters().count() {
        let parameter = |net: &Sequential<f64>| net.parameters().nth(index).cloned();
        let Some(parameter) = parameter(net) else { break };
        if !parameter.is_trained() {
            continue;
        }
        let mut worst = Worst::default();
        for element in draw(parameter.shape().len()) {
            let set = |net: &mut Sequential<f64>, value: f64| {
                if let Some(parameter) = net.parameters_mut().nth(index) {
                    parameter.value_mut()[element] = value;
                }
            };
            let value = parameter.value().data()[element];
            let numerical = derivative(value, options.step, |value| {
                set(net, value);
                loss(net, x)
            })?;
            set(net, value);
            worst.add(parameter.grad().data()[element], numerical);
        }
        errors.push(worst.report(parameter.name()));
    }

    let mut x = x.to_tensor();
    let mut worst = Worst::default();
    for element in draw(x.shape().len()) {
        let value = x.data()[element];
        let numerical = derivative(value, options.step, |value| {
            x.data_mut()[element] = value;
            loss(net, x.view())
        })?;
        x.data_mut()[element] = value;
        worst.add(dx.data()[element], numerical);
    }
    errors.push(worst.report("input"));
    Ok(errors)
}

/// By how much the loss of a batch changes when its logits do.
///
/// The difference of two losses would have the rounding error of a loss, which in a network with
/// small weights is a million times larger than what one weight changes.
struct LossChange<'a> {
    logits: Tensor4<f64>,
    probabilities: Tensor4<f64>,
    labels: &'a [usize],
}

impl<'a> LossChange<'a> {
    fn from(logits: View4<'_, f64>, labels: &'a [usize]) -> Self {
        let probabilities = SoftmaxCrossEntropy.probabilities(logits);
        Self { logits: logits.to_tensor(), probabilities, labels }
    }

    /// With the probabilities p of the old logits z, and d = z' - z, the mean over the images of
    /// `ln(sum exp(z') / sum exp(z)) - d[label] = ln(1 + sum p (exp(d) - 1)) - d[label]`.
    fn to(&self, logits: View4<'_, f64>) -> f64 {
        let change = |(image, &label): (usize, &usize)| {
            let (before, after) = (self.logits.image(image), logits.image(image));
            let p = self.probabilities.image(image);
            let changes = after.iter().zip(before).map(|(after, before)| after - before);
            let sum: f64 = changes.zip(p).map(|(d, p)| p * d.exp_m1()).sum();
            sum.ln_1p() - (after[label] - before[label])
        };
        let total: f64 = self.labels.iter().enumerate().map(change).sum();
        total / self.labels.len() as f64
    }
}

#[derive(Default)]
struct Worst {
    checked: usize,
    difference: f64,
    scale: f64,
}

impl Worst {
    fn add(&mut self, backpropagated: f64, numerical: f64) {
        let difference = (backpropagated - numerical).abs();
        self.checked += 1;
        // A NaN must not be lost in a maximum, neither as it comes nor by what follows.
        if difference.is_nan() || difference > self.difference {
            self.difference = difference;
        }
        self.scale = self.scale.max(numerical.abs());
    }

    fn report(self, name: &str) -> GradientError {
        let scale = if self.scale > 0.0 { self.scale } else { 1.0 };
        let relative = self.difference / scale;
        GradientError { name: name.to_owned(), checked: self.checked, relative }
    }
}

/// By how much each step is smaller than the one before.
const SHRINK: f64 = 2.5;
/// How many steps are tried.
const STEPS: usize = 10;

/// The derivative of `f` at `x`: Neville's extrapolation of central differences to a step of 0,
/// taking the entry whose neighbours it differs least from.
fn derivative(
    x: f64,
    step: f64,
    mut f: impl FnMut(f64) -> Result<f64, NetError>,
) -> Result<f64, NetError> {
    let mut best = (f64::INFINITY, f64::NAN);
    let mut previous: Vec<f64> = Vec::new();
    let mut h = step;
    for _ in 0..STEPS {
        let mut row = vec![(f(x + h)? - f(x - h)?) / (2.0 * h)];
        let mut factor = SHRINK * SHRINK;
        for (order, &before) in previous.iter().enumerate() {
            let coarser = row[order];
            let finer = (coarser * factor - before) / (factor - 1.0);
            let error = (finer - coarser).abs().max((finer - before).abs());
            if error < best.0 {
                best = (error, finer);
            }
            row.push(finer);
            factor *= SHRINK * SHRINK;
        }
        previous = row;
        h /= SHRINK;
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_of_the_loss_is_that_of_the_loss() {
        let shape = tensor4::Shape4::matrix(4, 5).unwrap();
        let before = Tensor4::<f64>::normal(shape, 0.0, 2.0, 1);
        let after = Tensor4::<f64>::normal(shape, 0.0, 2.0, 2);
        let labels = [0, 4, 2, 2];
        let loss = |z: &Tensor4<f64>| SoftmaxCrossEntropy.loss(z.view(), &labels, None).unwrap();
        let expected = loss(&after).mean - loss(&before).mean;
        let change = LossChange::from(before.view(), &labels).to(after.view());
        assert!((change - expected).abs() < 1e-14, "{change} {expected}");
        assert!(expected.abs() > 0.1);
    }

    #[test]
    fn derivatives_are_exact_where_smooth_and_beside_a_kink() {
        let smooth = derivative(0.3, 2e-3, |x: f64| Ok((3.0 * x).sin().exp())).unwrap();
        let exact = 3.0 * 0.9_f64.cos() * 0.9_f64.sin().exp();
        assert!((smooth - exact).abs() < 1e-9, "{smooth} {exact}");
        // The larger steps cross the kink at 0.
        let kinked = derivative(1e-4, 2e-3, |x: f64| Ok(x.max(0.0) * 2.0 + x)).unwrap();
        assert!((kinked - 3.0).abs() < 1e-9, "{kinked}");
    }
}
