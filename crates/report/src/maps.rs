//! Feature maps: what each stage of a network makes of an image.

use net::{Mode, Sequential, Tape};
use tensor4::View4;

use crate::ReportError;
use crate::picture::{Picture, grid};
use crate::stage::stages;
use crate::tile::{Scale, plane};

/// The longest side of a map in a picture, in pixels.
const SIDE: usize = 32;
/// The side of a map of one value.
const DOT: usize = 10;

/// The maps of one stage for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMaps {
    /// The names of the layers of the stage.
    pub name: String,
    /// The sizes of the output for one image, `[channels, rows, columns]`.
    pub shape: [usize; 3],
    /// One tile per channel, at most as many as asked for. Black is the smallest value of the
    /// stage for this image; white the largest of the map, or a fifth of the way to the largest
    /// of the stage if the map does not reach that: channels that are hardly excited stay dark.
    pub picture: Picture,
}

/// What each stage makes of the first of the images, of the second and so on: for each stage one
/// picture per image, of at most `channels` maps.
///
/// # Errors
///
/// If the images don't fit the network.
pub fn feature_maps(
    net: &Sequential<f32>,
    images: View4<'_, f32>,
    channels: usize,
) -> Result<Vec<Vec<FeatureMaps>>, ReportError> {
    let mut tape = Tape::recording();
    net.forward(images, &mut tape, Mode::Eval)?;
    let mut result = Vec::new();
    for stage in stages(net)? {
        let output = tape.output(stage.last).ok_or(ReportError::NoImages)?;
        let [n, c, h, w] = output.dims();
        let of_image = |image: usize| {
            let all = Scale::of(output.image(image));
            let tile = |channel: usize| {
                let values = output.plane(image, channel);
                let faint = all.low + (all.high - all.low) / 5.0;
                let high = if h * w == 1 { all.high } else { Scale::of(values).high.max(faint) };
                let map = plane(values, h, w, Scale { high, ..all });
                if h * w == 1 { map.enlarged(DOT) } else { map.shrunk(SIDE) }
            };
            let tiles: Vec<Picture> = (0..c.min(channels)).map(tile).collect();
            let columns = if h * w == 1 { 10 } else { 8 };
            let picture = grid(&tiles, columns, 1, [64, 72, 96]);
            FeatureMaps { name: stage.name.clone(), shape: [c, h, w], picture }
        };
        result.push((0..n).map(of_image).collect());
    }
    Ok(result)
}
