//! Pictures from files.

use std::io::{BufRead, Seek};
use std::path::Path;

use dataset::image_folder;
use image::imageops::FilterType;
use image::{DynamicImage, Rgba};
use tensor4::Shape4;

use crate::failure::Failure;

/// Reads a PNG or JPEG, by what is in it and not by its name. What is transparent becomes white,
/// the colour of paper.
pub(super) fn load(picture: impl BufRead + Seek, path: &Path) -> Result<DynamicImage, Failure> {
    let picture = image_folder::decode(picture, path)?;
    if !picture.color().has_alpha() {
        return Ok(picture);
    }
    let mut picture = picture.into_rgba8();
    for Rgba([r, g, b, alpha]) in picture.pixels_mut() {
        for color in [r, g, b] {
            let over = u32::from(*color) * u32::from(*alpha) + 255 * (255 - u32::from(*alpha));
            *color = ((over + 127) / 255) as u8;
        }
        *alpha = 255;
    }
    Ok(DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(picture).into_rgb8()))
}

/// The picture scaled until it covers an image of the shape, cropped at the centre: pixels from
/// 0 to 1, `(C, H, W)`, grey unless there are three channels.
pub(super) fn cropped(picture: &DynamicImage, shape: Shape4) -> Vec<f32> {
    let [_, c, h, w] = shape.dims();
    let (width, height) = (w as u32, h as u32);
    let fits = (picture.width(), picture.height()) == (width, height);
    let scaled = if fits {
        picture.clone()
    } else {
        picture.resize_to_fill(width, height, FilterType::Triangle)
    };
    let (rgb, grey) = (scaled.to_rgb8(), scaled.to_luma8());
    let mut pixels = Vec::with_capacity(shape.image_len());
    for channel in 0..c {
        for (color, grey) in rgb.pixels().zip(grey.pixels()) {
            let value = if c == 3 { color.0[channel] } else { grey.0[0] };
            pixels.push(f32::from(value) / 255.0);
        }
    }
    pixels
}
