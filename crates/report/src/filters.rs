//! The filters of the first convolution, before and after training.

use net::{NetScalar, Parameter, Sequential};

use crate::picture::{beside, grid};
use crate::stage::learns;
use crate::tile::{Scale, image};
use crate::{Picture, ReportError};

/// What stands between filters.
const PAPER: [u8; 3] = [96; 3];
/// About the length of the longer side of a filter in the picture of both sides.
const SIDE: usize = 30;

/// The filters of the first convolution before training and after it, a pixel per weight. A
/// filter has the same place in both, and a grey scale of its own in each, from its smallest
/// weight (black) to its largest (white); filters over three channels are in colour.
///
/// # Errors
///
/// [`ReportError::NoFilters`] if there is no convolution, [`ReportError::OtherNetwork`] if the
/// two networks differ in it.
pub fn filter_pictures<T: NetScalar>(
    before: &Sequential<T>,
    after: &Sequential<T>,
) -> Result<[Picture; 2], ReportError> {
    let (old, new) = (first_filters(before)?, first_filters(after)?);
    if old.dims() != new.dims() {
        return Err(ReportError::OtherNetwork {
            parameter: new.name().to_owned(),
            before: format!("{:?}", old.dims()),
            after: format!("{:?}", new.dims()),
        });
    }
    Ok([block(old), block(new)])
}

/// Both [`filter_pictures`] beside each other, before training on the left, each weight as a
/// square of some pixels.
///
/// # Errors
///
/// As [`filter_pictures`].
pub fn filters_before_and_after<T: NetScalar>(
    before: &Sequential<T>,
    after: &Sequential<T>,
) -> Result<Picture, ReportError> {
    let [_, _, h, w] = first_filters(after)?.value().dims();
    let factor = (SIDE / h.max(w).max(1)).max(2);
    let sides = filter_pictures(before, after)?.map(|side| side.enlarged(factor));
    Ok(beside(&sides, SIDE, [255; 3]))
}

/// The filters in a block that is about as wide as high.
fn block<T: NetScalar>(weight: &Parameter<T>) -> Picture {
    let value = weight.value();
    let filters = value.shape().n();
    let tile = |filter: usize| {
        let filter = value.image(filter);
        image(filter, value.shape(), Scale::of(filter))
    };
    let tiles: Vec<Picture> = (0..filters).map(tile).collect();
    let columns = (1..=filters).find(|columns| columns * columns >= filters).unwrap_or(1);
    grid(&tiles, columns, 1, PAPER)
}

/// The weights of the first layer that has filters.
fn first_filters<T: NetScalar>(net: &Sequential<T>) -> Result<&Parameter<T>, ReportError> {
    net.layers()
        .iter()
        .filter(|layer| learns(layer.as_ref()))
        .flat_map(|layer| layer.parameters())
        .find(|parameter| parameter.dims().len() == 4)
        .ok_or(ReportError::NoFilters)
}
