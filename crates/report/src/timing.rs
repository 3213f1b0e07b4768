//! How long each layer takes.

use std::time::{Duration, Instant};

use net::{Mode, NetScalar, Sequential, State};
use tensor4::Tensor4;

use crate::ReportError;

/// The time of a forward pass of each layer over a batch of so many images of noise, in
/// evaluation mode: the shortest of `repeats` after one to warm up.
///
/// # Errors
///
/// If such a batch is not addressable.
pub fn layer_times<T: NetScalar>(
    net: &Sequential<T>,
    images: usize,
    repeats: usize,
) -> Result<Vec<Duration>, ReportError> {
    let mut x = Tensor4::<T>::uniform(net.input_shape().with_n(images)?, 0.0, 1.0, 0);
    let mut times = Vec::with_capacity(net.layers().len());
    for layer in net.layers() {
        let mut y = Tensor4::zeros(layer.output_shape(x.shape())?);
        let mut state = State::new();
        layer.forward(x.view(), y.view_mut(), &mut state, Mode::Eval)?;
        let mut best = Duration::MAX;
        for _ in 0..repeats.max(1) {
            let begun = Instant::now();
            layer.forward(x.view(), y.view_mut(), &mut state, Mode::Eval)?;
            best = best.min(begun.elapsed());
        }
        times.push(best);
        x = y;
    }
    Ok(times)
}
