//! How long layers take.

use std::time::{Duration, Instant};

/// The time of one layer in the last forward and the last backward pass over a
/// [`Tape`](crate::Tape).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerTime {
    /// Of the forward pass.
    pub forward: Duration,
    /// Of the backward pass; 0 if there was none since.
    pub backward: Duration,
}

/// Measures the layers of a pass, if it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// A time for each layer, once a pass has run; nothing if it was not asked to measure.
    times: Option<Vec<LayerTime>>,
}

impl Clock {
    pub(crate) fn ask(&mut self, wanted: bool) {
        self.times = wanted.then(Vec::new);
    }

    pub(crate) fn times(&self) -> &[LayerTime] {
        self.times.as_deref().unwrap_or_default()
    }

    /// To be called before a forward pass.
    pub(crate) fn begin(&mut self, layers: usize) {
        if let Some(times) = &mut self.times {
            times.clear();
            times.resize(layers, LayerTime::default());
        }
    }

    /// Runs the forward pass of a layer.
    pub(crate) fn forward<R>(&mut self, layer: usize, run: impl FnOnce() -> R) -> R {
        self.measure(layer, |time| &mut time.forward, run)
    }

    /// Runs the backward pass of a layer.
    pub(crate) fn backward<R>(&mut self, layer: usize, run: impl FnOnce() -> R) -> R {
        self.measure(layer, |time| &mut time.backward, run)
    }

    fn measure<R>(
        &mut self,
        layer: usize,
        part: impl FnOnce(&mut LayerTime) -> &mut Duration,
        run: impl FnOnce() -> R,
    ) -> R {
        let Some(time) = self.times.as_mut().and_then(|times| times.get_mut(layer)) else {
            return run();
        };
        let start = Instant::now();
        let result = run();
        *part(time) = start.elapsed();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;

    #[test]
    fn only_what_is_asked_for_is_measured() {
        let mut clock = Clock::default();
        clock.begin(2);
        assert_eq!(clock.forward(1, || 7), 7);
        assert!(clock.times().is_empty());
        clock.ask(true);
        clock.begin(2);
        assert_eq!(clock.backward(1, || 7), 7);
        let times = clock.times();
        assert_eq!((times.len(), times[0], times[1].forward), (2, times[0], Duration::ZERO));
        clock.ask(false);
        assert!(clock.times().is_empty());
    }
}
