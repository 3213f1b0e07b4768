//! Softmax with cross-entropy.

use conv::{MulAdd, Vectorised, vectorised};
use tensor4::{Tensor4, View4, ViewMut4};

use crate::layer::check;
use crate::{NetError, NetScalar};

/// What a batch cost, and how many of its images were recognised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchLoss {
    /// The loss, averaged over the images. NaN for a batch of none.
    pub mean: f64,
    /// Images whose largest logit is that of their label (of equal logits the first); none that
    /// has a logit that is NaN.
    pub correct: usize,
    /// Images.
    pub images: usize,
}

/// The cross-entropy between the softmax of the logits and the labels:
/// `-ln(exp(z[label]) / sum of exp(z))`, averaged over the batch.
///
/// Logits are shifted by their maximum before the exponential, so that none overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoftmaxCrossEntropy;

impl SoftmaxCrossEntropy {
    /// The loss of a batch of logits `(N, classes)`; and, if `dlogits` is given, its gradient
    /// `(softmax(z) - onehot(label)) / N`, which overwrites `dlogits`.
    ///
    /// # Errors
    ///
    /// [`NetError::LabelCount`], [`NetError::Label`], or [`NetError::Shape`] if `dlogits` has
    /// another shape than the logits.
    pub fn loss<T: NetScalar>(
        self,
        logits: View4<'_, T>,
        labels: &[usize],
        dlogits: Option<ViewMut4<'_, T>>,
    ) -> Result<BatchLoss, NetError> {
        self.smoothed_loss(0.0, logits, labels, dlogits)
    }

    /// As [`loss`](Self::loss), with labels of which the part `smoothing` is spread evenly over
    /// all classes: the target is `(1 - smoothing) * onehot(label) + smoothing / classes`, and the
    /// gradient `(softmax(z) - target) / N`. Szegedy et al., "Rethinking the Inception
    /// Architecture for Computer Vision", 2015, section 7.
    ///
    /// # Errors
    ///
    /// As [`loss`](Self::loss); [`NetError::Setting`] if `smoothing` is not from 0 to 1.
    pub fn smoothed_loss<T: NetScalar>(
        self,
        smoothing: f64,
        logits: View4<'_, T>,
        labels: &[usize],
        mut dlogits: Option<ViewMut4<'_, T>>,
    ) -> Result<BatchLoss, NetError> {
        const OPERATION: &str = "softmax cross-entropy";
        check_smoothing(smoothing)?;
        let (n, classes) = (logits.shape().n(), logits.shape().image_len());
        if labels.len() != n {
            let (operation, labels) = (OPERATION, labels.len());
            return Err(NetError::LabelCount { operation, images: n, labels });
        }
        if let Some(image) = labels.iter().position(|&label| label >= classes) {
            return Err(NetError::Label { image, label: labels[image], classes });
        }
        if let Some(dlogits) = &dlogits {
            check(OPERATION, "dlogits", dlogits.shape(), logits.shape())?;
        }
        let mut total = 0.0;
        let mut correct = 0;
        for (image, &label) in labels.iter().enumerate() {
            let z = logits.image(image);
            let max = maximum(z);
            let sum = match &mut dlogits {
                Some(dlogits) => vectorised(Exponentials { z, max, out: dlogits.image_mut(image) }),
                None => vectorised(Exponentials { z, max, out: &mut [] }),
            };
            total += (sum.ln() - (z[label] - max)).to_f64();
            if smoothing != 0.0 {
                // The other classes' share: the mean of all logits stands in for the label's.
                let mean: T = z.iter().map(|&z| z - max).sum::<T>() / T::from_usize(classes);
                total += smoothing * (z[label] - max - mean).to_f64();
            }
            correct += usize::from(first_maximum(z) == Some(label));
            if let Some(dlogits) = &mut dlogits {
                let scale = T::ONE / (sum * T::from_usize(n));
                let share = T::from_f64(smoothing / classes as f64) / T::from_usize(n);
                let dz = dlogits.image_mut(image);
                dz.iter_mut().for_each(|dz| *dz = *dz * scale - share);
                dz[label] -= T::from_f64(1.0 - smoothing) / T::from_usize(n);
            }
        }
        Ok(BatchLoss { mean: total / n as f64, correct, images: n })
    }

    /// The probabilities that belong to logits, `softmax(z)` of each row.
    #[must_use]
    pub fn probabilities<T: NetScalar>(self, logits: View4<'_, T>) -> Tensor4<T> {
        let mut probabilities = logits.to_tensor();
        for image in 0..logits.shape().n() {
            let mut view = probabilities.view_mut();
            let row = view.image_mut(image);
            let max = maximum(row);
            for p in row.iter_mut() {
                *p = (*p - max).exp();
            }
            let sum: T = row.iter().copied().sum();
            for p in row.iter_mut() {
                *p /= sum;
            }
        }
        probabilities
    }
}

/// The sum of `exp(z - max)` over the logits of an image; what is summed goes to `out`, if that is
/// not empty.
struct Exponentials<'a, T> {
    z: &'a [T],
    max: T,
    out: &'a mut [T],
}

impl<T: NetScalar> Vectorised for Exponentials<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<M: MulAdd>(self) -> T {
        const LANES: usize = 16;
        let mut sums = [T::ZERO; LANES];
        let mut out = self.out.chunks_mut(LANES);
        for z in self.z.chunks(LANES) {
            let mut terms = [T::ZERO; LANES];
            for (term, &z) in terms.iter_mut().zip(z) {
                *term = (z - self.max).exp();
            }
            for (sum, &term) in sums.iter_mut().zip(&terms) {
                *sum += term;
            }
            if let Some(out) = out.next() {
                out.copy_from_slice(&terms[..out.len()]);
            }
        }
        sums.into_iter().sum()
    }
}

/// Whether a part of a label can be spread over all classes.
pub(crate) fn check_smoothing(smoothing: f64) -> Result<(), NetError> {
    if (0.0..=1.0).contains(&smoothing) {
        return Ok(());
    }
    let (setting, allowed) = ("the label smoothing", "at least 0 and at most 1 would fit");
    Err(NetError::Setting { setting, value: smoothing, allowed })
}

/// The largest value; NaN if one is NaN, so that the loss shows it.
fn maximum<T: NetScalar>(values: &[T]) -> T {
    let greater = |max: T, z: T| if z > max || z.is_nan() { z } else { max };
    values.iter().copied().fold(T::NEG_INFINITY, greater)
}

/// Where the largest value stands first; nowhere if one is NaN, so that no image is recognised by
/// what is left.
fn first_maximum<T: NetScalar>(values: &[T]) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for (i, &value) in values.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, max)| value > max) {
            best = Some((i, value));
        }
    }
    best.map(|(i, _)| i)
}
