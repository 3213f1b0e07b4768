//! What a network makes of each image of a set.

use net::{Mode, Samples, Sequential, SoftmaxCrossEntropy, Tape};
use tensor4::Tensor4;

use crate::ReportError;

/// Images per pass. Changes memory and speed alone.
const BATCH: usize = 100;

/// Gathers samples batch by batch: `each` gets the number of the first image, the images and
/// their labels.
pub(crate) fn batches(
    samples: &dyn Samples<f32>,
    mut each: impl FnMut(usize, &Tensor4<f32>, &[usize]) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let order: Vec<usize> = (0..samples.len()).collect();
    for indices in order.chunks(BATCH) {
        let (x, labels) = gather(samples, indices)?;
        each(indices[0], &x, &labels)?;
    }
    Ok(())
}

/// The images at `indices` and their labels.
///
/// # Errors
///
/// If an index is out of range, or the images can't be read.
pub fn gather(
    samples: &dyn Samples<f32>,
    indices: &[usize],
) -> Result<(Tensor4<f32>, Vec<usize>), ReportError> {
    let mut x = Tensor4::zeros(samples.image_shape().with_n(indices.len())?);
    let mut labels = vec![0; indices.len()];
    samples.gather(indices, x.view_mut(), &mut labels)?;
    Ok((x, labels))
}

/// What the network made of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The image among the samples.
    pub image: usize,
    /// Its class.
    pub label: usize,
    /// The class that the network takes it for.
    pub predicted: usize,
    /// The probability that the network gives to that.
    pub probability: f32,
    /// The probability that it gives to the right class.
    pub of_label: f32,
}

/// What the network makes of every image. `progress` is told how many have been seen.
///
/// # Errors
///
/// If the images don't fit the network, a label has no output, or they can't be read.
pub fn verdicts(
    net: &Sequential<f32>,
    samples: &dyn Samples<f32>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Verdict>, ReportError> {
    let mut verdicts = Vec::with_capacity(samples.len());
    let mut tape = Tape::new();
    batches(samples, |first, x, labels| {
        let logits = net.forward(x.view(), &mut tape, Mode::Eval)?;
        // Checks the labels as well.
        SoftmaxCrossEntropy.loss(logits, labels, None)?;
        let probabilities = SoftmaxCrossEntropy.probabilities(logits);
        for (i, &label) in labels.iter().enumerate() {
            let row = probabilities.image(i);
            let predicted = ranking(row)[0];
            verdicts.push(Verdict {
                image: first + i,
                label,
                predicted,
                probability: row[predicted],
                of_label: row[label],
            });
        }
        progress(first + labels.len());
        Ok(())
    })?;
    Ok(verdicts)
}

/// The classes by their probability, the largest first; of equal ones the first class.
#[must_use]
pub fn ranking(probabilities: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
}

/// The mistakes, the worst first: those where the right class got the smallest probability.
#[must_use]
pub fn worst_mistakes(verdicts: &[Verdict], count: usize) -> Vec<Verdict> {
    let mut mistakes: Vec<Verdict> =
        verdicts.iter().filter(|verdict| verdict.predicted != verdict.label).copied().collect();
    mistakes.sort_by(|a, b| {
        let by_label = a.of_label.total_cmp(&b.of_label);
        by_label.then(b.probability.total_cmp(&a.probability)).then(a.image.cmp(&b.image))
    });
    mistakes.truncate(count);
    mistakes
}

/// How often each class was taken for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row: the class; column: what it was taken for.
    counts: Vec<usize>,
}

/// How well one class is recognised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScore {
    /// Images of the class.
    pub images: usize,
    /// Images that were taken for it.
    pub taken: usize,
    /// Of the images taken for the class, the part that is of it; NaN if there is none.
    pub precision: f64,
    /// Of the images of the class, the part that was taken for it; NaN if there is none.
    pub recall: f64,
}

impl Confusion {
    /// Counts verdicts over so many classes; those beyond are left out.
    #[must_use]
    pub fn of(verdicts: &[Verdict], classes: usize) -> Self {
        let mut counts = vec![0; classes * classes];
        for verdict in verdicts {
            if verdict.label < classes && verdict.predicted < classes {
                counts[verdict.label * classes + verdict.predicted] += 1;
            }
        }
        Self { classes, counts }
    }

    /// Classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often images of class `label` were taken for class `predicted`.
    ///
    /// # Panics
    ///
    /// If there is no such class.
    #[must_use]
    pub fn count(&self, label: usize, predicted: usize) -> usize {
        assert!(label < self.classes && predicted < self.classes, "{label} {predicted}");
        self.counts[label * self.classes + predicted]
    }

    /// All images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Those that were recognised.
    #[must_use]
    pub fn correct(&self) -> usize {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// How well a class is recognised.
    ///
    /// # Panics
    ///
    /// If there is no such class.
    #[must_use]
    pub fn score(&self, class: usize) -> ClassScore {
        let images = (0..self.classes).map(|other| self.count(class, other)).sum();
        let taken = (0..self.classes).map(|other| self.count(other, class)).sum();
        let hits = self.count(class, class) as f64;
        ClassScore { images, taken, precision: hits / taken as f64, recall: hits / images as f64 }
    }
}
