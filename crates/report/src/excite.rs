//! The images that excite a channel most.

use net::{Samples, Sequential, Tape};
use tensor4::Tensor4;

use crate::ReportError;
use crate::evaluation::batches;

/// An image that excites a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excitation {
    /// The image among the samples.
    pub image: usize,
    /// The largest activation of the channel over the image.
    pub activation: f32,
    /// Where it stands in the output of the layer.
    pub row: usize,
    /// Where it stands in the output of the layer.
    pub col: usize,
}

/// The images that excite each channel of one layer most, the strongest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Excited {
    /// The layer.
    pub layer: usize,
    /// For each of its channels.
    pub channels: Vec<Vec<Excitation>>,
}

/// Finds the `count` images that excite each channel of each of the layers most; of equal ones
/// the first. `progress` is told how many images have been seen.
///
/// # Errors
///
/// If the images don't fit the network or can't be read; [`ReportError::Net`] if there is no such
/// layer.
pub fn excited(
    net: &Sequential<f32>,
    samples: &dyn Samples<f32>,
    layers: &[usize],
    count: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Excited>, ReportError> {
    let mut result: Vec<Excited> =
        layers.iter().map(|&layer| Excited { layer, channels: Vec::new() }).collect();
    let mut tape = Tape::recording();
    batches(samples, |first, x, _| {
        net.forward(x.view(), &mut tape, net::Mode::Eval)?;
        for excited in &mut result {
            let layers = net.layers().len();
            let layer = excited.layer;
            let output = tape.output(layer).ok_or(net::NetError::NoLayer { layer, layers })?;
            excited.channels.resize(output.shape().c(), Vec::new());
            for (channel, best) in excited.channels.iter_mut().enumerate() {
                for image in 0..x.shape().n() {
                    keep(best, count, strongest(&output, image, channel, first + image));
                }
            }
        }
        progress(first + x.shape().n());
        Ok(())
    })?;
    Ok(result)
}

/// The strongest activation of one channel for one image of a batch.
fn strongest(output: &Tensor4<f32>, image: usize, channel: usize, number: usize) -> Excitation {
    let w = output.shape().w();
    let mut best = Excitation { image: number, activation: f32::NEG_INFINITY, row: 0, col: 0 };
    for (i, &activation) in output.plane(image, channel).iter().enumerate() {
        if activation > best.activation {
            best = Excitation { image: number, activation, row: i / w, col: i % w };
        }
    }
    best
}

/// Keeps the strongest, in order; a later one of equal strength comes after.
fn keep(best: &mut Vec<Excitation>, count: usize, new: Excitation) {
    let place = best.partition_point(|old| old.activation >= new.activation);
    if place < count {
        best.insert(place, new);
        best.truncate(count);
    }
}
