//! What the channels of a layer look for: the input that each would most like to see beside the
//! images that excite it most.

use net::{Samples, Sequential};

use crate::evaluation::gather;
use crate::picture::{Area, Color, Picture, beside, grid};
use crate::tile::{Scale, image};
use crate::{Excitation, Excited, Maximise, ReceptiveField, ReportError, maximise};

/// About the longest side of the picture of an image, in pixels.
const SIDE: usize = 64;
/// Around what a unit sees.
const FRAME: Color = [255, 140, 0];
/// Between pictures.
const PAPER: Color = [64, 72, 96];

/// What the channels of one layer look for.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerChannels {
    /// The name of the layer.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// How many channels it has, of which the first are shown.
    pub of: usize,
    /// The part of the image that one unit sees.
    pub field: ReceptiveField,
    /// The channels shown.
    pub channels: Vec<ChannelPictures>,
}

/// What one channel looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelPictures {
    /// The channel.
    pub channel: usize,
    /// The input found by gradient ascent, as far as the unit in the middle sees it.
    pub ideal: Picture,
    /// The activation of that unit for the noise at the start.
    pub noise_activation: f32,
    /// The activation for the input found.
    pub ideal_activation: f32,
    /// The images that excite the channel most, the strongest first, each with a frame around
    /// what the strongest unit sees, unless that is all of it.
    pub images: Vec<(Excitation, Picture)>,
}

/// Makes the pictures of the first `count` channels of a layer.
///
/// # Errors
///
/// As [`maximise`]; or if the images can't be read.
pub fn layer_channels(
    net: &mut Sequential<f32>,
    samples: &dyn Samples<f32>,
    excited: &Excited,
    count: usize,
    options: Maximise,
) -> Result<LayerChannels, ReportError> {
    let of = excited.channels.len();
    let channels: Vec<usize> = (0..of.min(count)).collect();
    let found = maximise(net, excited.layer, &channels, options)?;
    let layer = &net.layers()[excited.layer];
    let (name, kind) = (layer.name().to_owned(), layer.describe());
    let shape = found.images.shape();
    let mut pictures = Vec::with_capacity(channels.len());
    for &channel in &channels {
        let ideal = image(found.images.image(channel), shape, options.range);
        let best = &excited.channels[channel];
        let indices: Vec<usize> = best.iter().map(|excitation| excitation.image).collect();
        let (x, _) = gather(samples, &indices)?;
        let framed = |(i, excitation): (usize, &Excitation)| {
            let picture = image(x.image(i), x.shape(), options.range);
            let area = found.field.at(excitation.row, excitation.col);
            (*excitation, frame(&picture, (!found.field.whole).then_some(area)))
        };
        pictures.push(ChannelPictures {
            channel,
            ideal: ideal.cropped(found.field.area).fitted(SIDE),
            noise_activation: found.before[channel],
            ideal_activation: found.after[channel],
            images: best.iter().enumerate().map(framed).collect(),
        });
    }
    Ok(LayerChannels { name, kind, of, field: found.field, channels: pictures })
}

impl LayerChannels {
    /// All channels in one picture, a row for each: on the left the input found by gradient
    /// ascent, then the images that excite the channel most. `columns` rows stand beside each
    /// other.
    #[must_use]
    pub fn sheet(&self, columns: usize) -> Picture {
        let row = |channel: &ChannelPictures| {
            // A line around it: what lies at the border may be as white as the paper.
            let ideal = grid(std::slice::from_ref(&channel.ideal), 1, 1, PAPER);
            let images: Vec<Picture> = channel.images.iter().map(|(_, p)| p.clone()).collect();
            beside(&[ideal, grid(&images, images.len(), 0, PAPER)], 6, [255; 3])
        };
        let rows: Vec<Picture> = self.channels.iter().map(row).collect();
        grid(&rows, columns, 6, [255; 3])
    }
}

/// The picture in about [`SIDE`] pixels, with a frame around an area of its own pixels.
fn frame(picture: &Picture, area: Option<Area>) -> Picture {
    let mut fitted = picture.fitted(SIDE);
    if let Some(area) = area {
        let x = fitted.width() as f64 / picture.width() as f64;
        let y = fitted.height() as f64 / picture.height() as f64;
        let place = |start: isize, factor: f64| (start as f64 * factor).round() as isize;
        let length = |len: usize, factor: f64| ((len as f64 * factor).round() as usize).max(1);
        let area = Area {
            top: place(area.top, y),
            left: place(area.left, x),
            height: length(area.height, y),
            width: length(area.width, x),
        };
        fitted.outline(area, FRAME);
    }
    fitted
}

/// The range of the pixels of some images, for [`Maximise::range`].
///
/// # Errors
///
/// If they can't be read.
pub fn pixel_range(samples: &dyn Samples<f32>, indices: &[usize]) -> Result<Scale, ReportError> {
    let (x, _) = gather(samples, indices)?;
    Ok(Scale::of(x.data()))
}
