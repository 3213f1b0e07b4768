//! How much memory a network must have, and how much its process has taken.

use net::LayerSummary;

use crate::model::Task;

const FLOAT: usize = size_of::<f32>();

/// What a task must keep, in bytes: the arithmetic of the memory bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// A number each.
    pub parameters: usize,
    /// In training as many.
    pub gradients: usize,
    /// In training twice as many: Adam's.
    pub moments: usize,
    /// In training what the backward passes read: the inputs of convolutions, affine layers and
    /// normalisations, the outputs of ReLU and sigmoid, each once. In inference the largest input
    /// and output of one layer.
    pub activations: usize,
}

impl Needed {
    /// For a batch of `n` images of the given length.
    #[must_use]
    pub fn of(task: Task, layers: &[LayerSummary], image_len: usize, n: usize) -> Self {
        let parameters = FLOAT * layers.iter().map(|layer| layer.parameters).sum::<usize>();
        // Tensor `i` is the input of layer `i`, and the output of the one before.
        let lengths: Vec<usize> = std::iter::once(image_len)
            .chain(layers.iter().map(|layer| layer.output.image_len()))
            .collect();
        match task {
            Task::Train => {
                let mut read = vec![false; lengths.len()];
                for (i, layer) in layers.iter().enumerate() {
                    match layer.name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                        "conv" | "affine" | "lrn" => read[i] = true,
                        "relu" | "sigmoid" => read[i + 1] = true,
                        _ => {}
                    }
                }
                let kept = lengths.iter().zip(read).filter(|(_, read)| *read);
                let activations = FLOAT * n * kept.map(|(len, _)| len).sum::<usize>();
                Self { parameters, gradients: parameters, moments: 2 * parameters, activations }
            }
            Task::Infer => {
                let largest = lengths.windows(2).map(|pair| pair[0] + pair[1]).max();
                let activations = FLOAT * n * largest.unwrap_or(0);
                Self { parameters, gradients: 0, moments: 0, activations }
            }
        }
    }

    /// All together.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.parameters + self.gradients + self.moments + self.activations
    }
}

/// The largest resident set of this process so far, in bytes; nothing where the system does not
/// tell.
#[must_use]
pub fn peak_rss() -> Option<usize> {
    high_water(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM` of a status file of Linux.
fn high_water(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::{FLOAT, Needed, high_water};
    use crate::model::{Task, TimedModel};

    #[test]
    fn arithmetic() {
        let layers = TimedModel::SimpleConvNet.summary().expect("a known network");
        let parameters = 433_890 * FLOAT;
        let train = Needed::of(Task::Train, &layers, 784, 100);
        // The images, the first ReLU's output, the pool's, the second ReLU's.
        let kept = (784 + 30 * 24 * 24 + 30 * 12 * 12 + 100) * 100 * FLOAT;
        assert_eq!((train.parameters, train.activations), (parameters, kept));
        assert_eq!(train.total(), 4 * parameters + kept);
        let infer = Needed::of(Task::Infer, &layers, 784, 1);
        assert_eq!(infer.total(), parameters + 2 * 30 * 24 * 24 * FLOAT);
    }

    #[test]
    fn status_files() {
        let status = "Name:\tmodels\nVmPeak:\t  9 kB\nVmHWM:\t    1234 kB\n";
        assert_eq!(high_water(status), Some(1234 * 1024));
        assert_eq!(high_water("Name:\tmodels\n"), None);
    }
}
