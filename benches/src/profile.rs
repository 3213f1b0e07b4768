//! Where the time of a training step goes.

use std::time::{Duration, Instant};

use net::{LayerTime, NetError};

use crate::csv;
use crate::model::TimedModel;

/// The columns of a profile.
pub const COLUMNS: [&str; 5] = ["name", "batch", "part", "ms", "percent"];

/// What a step must do: the parts that the others are weighed against.
pub const NEEDED: [&str; 3] = ["conv", "affine", "optimiser"];

/// One step in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTimes {
    /// Of each layer, in both directions. A layer that was fused into another has no time.
    pub layers: Vec<LayerTime>,
    /// Loss and its gradient.
    pub loss: Duration,
    /// The optimiser.
    pub optimiser: Duration,
    /// The whole step.
    pub total: Duration,
}

/// The mean of many steps, by kinds of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    model: TimedModel,
    batch: usize,
    /// The kinds of layers in their order, the loss, the optimiser, and what lies between the
    /// layers: mean milliseconds of a step.
    parts: Vec<(String, f64)>,
}

impl Profile {
    /// Takes steps for so long, at least three.
    ///
    /// # Errors
    ///
    /// That of a step.
    pub fn take(
        model: TimedModel,
        batch: usize,
        duration: Duration,
        mut step: impl FnMut() -> Result<StepTimes, NetError>,
    ) -> Result<Self, NetError> {
        const LEAST: usize = 3;
        // To get warm.
        step()?;
        let mut steps = Vec::new();
        let start = Instant::now();
        while steps.len() < LEAST || start.elapsed() < duration {
            steps.push(step()?);
        }
        let names: Vec<String> = model.summary()?.into_iter().map(|layer| layer.name).collect();
        Ok(Self { model, batch, parts: parts(&names, &steps) })
    }

    /// Of the step, what lies outside convolution, affine layers and the optimiser: from 0 to 1.
    #[must_use]
    pub fn outside(&self) -> f64 {
        let needed = |part: &&(String, f64)| NEEDED.contains(&part.0.as_str());
        let needed: f64 = self.parts.iter().filter(needed).map(|(_, ms)| ms).sum();
        1.0 - needed / self.total()
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|(_, ms)| ms).sum()
    }

    /// The rows for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let total = self.total();
        let title = format!("{}, batch {}: {total:.3} ms a step", self.model.name(), self.batch);
        let row = |(part, ms): &(String, f64)| {
            format!("  {part:<16}  {ms:>9.3} ms  {:>5.1} %", 100.0 * ms / total)
        };
        let needed = NEEDED.join(", ");
        let outside = format!("  outside {needed}: {:.1} %", 100.0 * self.outside());
        [title].into_iter().chain(self.parts.iter().map(row)).chain([outside]).collect()
    }

    /// The lines of the CSV file.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let total = self.total();
        let line = |(part, ms): &(String, f64)| {
            let (name, batch) = (self.model.name(), self.batch.to_string());
            let percent = format!("{:.2}", 100.0 * ms / total);
            csv::join(&[name, &batch, part, &format!("{ms:.4}"), &percent]) + "\n"
        };
        self.parts.iter().map(line).collect()
    }
}

/// The means over the steps, by kinds: the names of layers without their numbers.
fn parts(names: &[String], steps: &[StepTimes]) -> Vec<(String, f64)> {
    let mean = |time: &dyn Fn(&StepTimes) -> Duration| {
        let sum: f64 = steps.iter().map(|step| time(step).as_secs_f64()).sum();
        1e3 * sum / steps.len() as f64
    };
    let mut parts: Vec<(String, f64)> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let ms =
            mean(&|step| step.layers.get(i).map_or(Duration::ZERO, |t| t.forward + t.backward));
        match parts.iter_mut().find(|(part, _)| part == kind) {
            Some((_, sum)) => *sum += ms,
            None => parts.push((kind.to_owned(), ms)),
        }
    }
    // Layers that were fused into others take no time of their own.
    parts.retain(|(_, ms)| *ms > 0.0);
    parts.push(("loss".to_owned(), mean(&|step| step.loss)));
    parts.push(("optimiser".to_owned(), mean(&|step| step.optimiser)));
    let measured: f64 = parts.iter().map(|(_, ms)| ms).sum();
    let rest = mean(&|step| step.total) - measured;
    parts.push(("between layers".to_owned(), rest.max(0.0)));
    parts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use net::LayerTime;

    use super::{Profile, StepTimes, parts};
    use crate::model::TimedModel;

    #[test]
    fn parts_add_up() {
        let ms = Duration::from_millis;
        let layer = |forward, backward| LayerTime { forward: ms(forward), backward: ms(backward) };
        let step = |more: u64| StepTimes {
            layers: vec![layer(1, 2), layer(0, 0), layer(3 + more, 4)],
            loss: ms(1),
            optimiser: ms(5),
            total: ms(20 + more),
        };
        let names = ["conv1", "relu1", "conv2"].map(str::to_owned);
        let parts = parts(&names, &[step(0), step(2)]);
        let expected = [("conv", 11.0), ("loss", 1.0), ("optimiser", 5.0), ("between layers", 4.0)];
        assert_eq!(parts.len(), 4);
        for ((name, found), (right, value)) in parts.iter().zip(expected) {
            assert!(name == right && (found - value).abs() < 1e-9, "{name}: {found}");
        }
        let profile = Profile { model: TimedModel::LeNet5, batch: 2, parts };
        assert!((profile.outside() - 5.0 / 21.0).abs() < 1e-9);
        assert!(profile.to_csv().starts_with("lenet5,2,conv,11.0000,52.38\n"));
        assert!(profile.lines()[5].ends_with("optimiser: 23.8 %"));
    }
}
