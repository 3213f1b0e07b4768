//! The filters of the first convolution, before and after training.

use net::{NetScalar, Parameter, Sequential};

use crate::picture::{beside, grid};
use crate::stage::learns;
use crate::tile::{Scale, image};
use crate::{Picture, ReportError};

/// What stands between filters.
const PAPER: [u8; 3] = [96; 3];
/// The length of the longer side of a filter.
const SIDE: usize = 30;

/// The filters of the first convolution of a network, each on a grey scale of its own from its
/// smallest to its largest weight; of those over three channels in colour.
///
/// # Errors
///
/// [`ReportError::NoFilters`] if there is no convolution.
pub fn filters<T: NetScalar>(net: &Sequential<T>, columns: usize) -> Result<Picture, ReportError> {
    Ok(tiles(first_filters(net)?, columns))
}

/// The same filters before training on the left and after it on the right. A filter has the same
/// place on both sides, and a grey scale of its own on each, from its smallest to its largest
/// weight.
///
/// # Errors
///
/// [`ReportError::NoFilters`] if there is no convolution, [`ReportError::OtherNetwork`] if the
/// two networks differ in it.
pub fn filters_before_and_after<T: NetScalar>(
    before: &Sequential<T>,
    after: &Sequential<T>,
) -> Result<Picture, ReportError> {
    let (old, new) = (first_filters(before)?, first_filters(after)?);
    if old.dims() != new.dims() {
        return Err(ReportError::OtherNetwork {
            parameter: new.name().to_owned(),
            before: format!("{:?}", old.dims()),
            after: format!("{:?}", new.dims()),
        });
    }
    let columns = columns(new.dims()[0]);
    Ok(beside(&[tiles(old, columns), tiles(new, columns)], SIDE, [255; 3]))
}

/// The columns of a block of filters that is about as wide as high.
pub(crate) fn columns(filters: usize) -> usize {
    (1..=filters).find(|columns| columns * columns >= filters).unwrap_or(1)
}

fn tiles<T: NetScalar>(weight: &Parameter<T>, columns: usize) -> Picture {
    let value = weight.value();
    let tile = |filter: usize| {
        let filter = value.image(filter);
        image(filter, value.shape(), Scale::of(filter)).fitted(SIDE)
    };
    let tiles: Vec<Picture> = (0..value.shape().n()).map(tile).collect();
    grid(&tiles, columns, 3, PAPER)
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
