//! Activation maximisation: the input that a unit would most like to see.

use net::{Seeds, Sequential, Tape};
use tensor4::Tensor4;

use crate::blur::blur;
use crate::tile::Scale;
use crate::{ReceptiveField, ReportError};

/// The settings of an activation maximisation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Maximise {
    /// Steps along the gradient.
    pub steps: usize,
    /// How far the first step goes, on average over the pixels, as a part of the range of the
    /// pixels; the steps become shorter in a straight line.
    pub rate: f64,
    /// By how many pixels the image is moved at random before each step, as a part of the side of
    /// what the unit sees. A picture that needs its pixels just where they are does not survive.
    pub jitter: f64,
    /// The standard deviation of the blur after each step, as a part of the side of what the unit
    /// sees; it goes to 0 in a straight line. What is left of noise does not survive.
    pub blur: f64,
    /// How much of its distance to the background a pixel loses at the first step; less and less
    /// at the later ones.
    pub decay: f64,
    /// What noise at the start and moves follow from.
    pub seed: u64,
    /// Which values a pixel may have. The lower end is the background.
    pub range: Scale,
}

impl Default for Maximise {
    /// 160 steps over pixels from 0 to 1.
    fn default() -> Self {
        Self {
            steps: 160,
            rate: 0.08,
            jitter: 0.07,
            blur: 0.03,
            decay: 0.03,
            seed: 0,
            range: Scale { low: 0.0, high: 1.0 },
        }
    }
}

impl Maximise {
    /// The same with so many steps.
    #[must_use]
    pub const fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// The same from other noise.
    #[must_use]
    pub const fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same over pixels of another range.
    #[must_use]
    pub const fn range(self, range: Scale) -> Self {
        Self { range, ..self }
    }
}

/// What excites the units of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Maximised {
    /// An image for each channel, `(channels, C, H, W)`. Only the pixels within
    /// [`field`](Self::field) have been changed.
    pub images: Tensor4<f32>,
    /// What the unit in the middle sees.
    pub field: ReceptiveField,
    /// The activation of each channel's unit for the noise at the start.
    pub before: Vec<f32>,
    /// The activation for the image found.
    pub after: Vec<f32>,
}

/// Climbs from noise to an image that excites a unit, for each of the channels given: the unit in
/// the middle of the output of `layer`, before any activation function that follows.
///
/// Gradient ascent on the pixels, with random moves, blur and decay (Yosinski et al.,
/// "Understanding neural networks through deep visualization", 2015): without them the result is
/// noise that no image resembles. The same settings give the same pictures, bit for bit.
///
/// # Errors
///
/// If the network has no such layer; [`ReportError::Setting`] if there is no such channel.
pub fn maximise(
    net: &mut Sequential<f32>,
    layer: usize,
    channels: &[usize],
    options: Maximise,
) -> Result<Maximised, ReportError> {
    let mut tape = Tape::new();
    let field = ReceptiveField::of(net, layer, &mut tape)?;
    let shape = net.input_shape().with_n(channels.len())?;
    let Scale { low, high } = options.range;
    let range = high - low;
    let mut images = Tensor4::<f32>::uniform(shape, low, low + 0.2 * range, options.seed);
    let mut climb = Climb { net, layer, channels, field, tape };
    let (_, before) = climb.gradient(&images)?;

    let side = field.area.height.max(field.area.width) as f64;
    let reach = (options.jitter * side).round() as i64;
    let mut draw = Seeds::new(options.seed);
    let mut shift = || (draw.draw() % (2 * reach as u64 + 1)) as i64 - reach;
    for step in 0..options.steps {
        let left = 1.0 - step as f64 / options.steps as f64;
        let (down, right) = (shift(), shift());
        let (gradient, _) = climb.gradient(&moved(&images, down, right))?;
        let gradient = moved(&gradient, -down, -right);
        for image in 0..channels.len() {
            let gradient = gradient.image(image);
            let mean = gradient.iter().map(|g| f64::from(g.abs())).sum::<f64>();
            let mean = mean / (shape.c() * field.area.height * field.area.width) as f64;
            let factor = if mean > 0.0 { options.rate * range * left / mean } else { 0.0 };
            let mut view = images.view_mut();
            for (pixel, &g) in view.image_mut(image).iter_mut().zip(gradient) {
                let value = f64::from(*pixel) + factor * f64::from(g);
                let value = low + (value - low) * (1.0 - options.decay * left);
                *pixel = value.clamp(low, high) as f32;
            }
        }
        blur(&mut images, options.blur * side * left);
    }
    let (_, after) = climb.gradient(&images)?;
    Ok(Maximised { images, field, before, after })
}

/// The units that are excited.
struct Climb<'a> {
    net: &'a mut Sequential<f32>,
    layer: usize,
    channels: &'a [usize],
    field: ReceptiveField,
    tape: Tape<f32>,
}

impl Climb<'_> {
    /// The gradient of each image's unit by the image, and the activations of the units.
    fn gradient(&mut self, x: &Tensor4<f32>) -> Result<(Tensor4<f32>, Vec<f32>), ReportError> {
        let Self { net, layer, channels, field, tape } = self;
        let mut activations = vec![0.0; channels.len()];
        let mut missing = None;
        let gradient = net.gradient_by_input(*layer, x.view(), tape, |y, mut dy| {
            let [_, c, h, w] = y.dims();
            let [row, col] = field.middle;
            for (image, &channel) in channels.iter().enumerate() {
                if channel >= c {
                    missing = Some((channel, c));
                    return;
                }
                let at = ((image * c + channel) * h + row) * w + col;
                activations[image] = y.data()[at];
                dy.data_mut()[at] = 1.0;
            }
        })?;
        match missing {
            None => Ok((gradient, activations)),
            Some((channel, _)) => Err(ReportError::Setting {
                setting: "the channel",
                value: channel as f64,
                allowed: "a number below that of the channels would fit",
            }),
        }
    }
}

/// The images moved down and to the right, around the border.
fn moved(images: &Tensor4<f32>, down: i64, right: i64) -> Tensor4<f32> {
    let [_, _, h, w] = images.dims();
    let (down, right) = (down.rem_euclid(h as i64) as usize, right.rem_euclid(w as i64) as usize);
    let mut result = images.clone();
    let planes = images.data().chunks_exact(h * w);
    for (to, from) in result.data_mut().chunks_exact_mut(h * w).zip(planes) {
        for (row, from) in from.chunks_exact(w).enumerate() {
            let row = (row + down) % h;
            let to = &mut to[row * w..(row + 1) * w];
            to[right..].copy_from_slice(&from[..w - right]);
            to[..right].copy_from_slice(&from[w - right..]);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use tensor4::Shape4;

    use super::*;

    #[test]
    fn moves_go_around_the_border_and_back() {
        let shape = Shape4::new(1, 2, 2, 3).unwrap();
        let images = Tensor4::from_fn(shape, |_, c, h, w| (c * 6 + h * 3 + w) as f32);
        let there = moved(&images, 1, -1);
        assert_eq!(there.plane(0, 0), [4.0, 5.0, 3.0, 1.0, 2.0, 0.0]);
        assert_eq!(moved(&there, -1, 1), images);
    }
}
