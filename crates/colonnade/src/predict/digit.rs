//! Pictures made to look like those of MNIST.

use image::imageops::{FilterType, crop_imm, resize};
use image::{GrayImage, ImageBuffer, Luma};

/// What counts as drawn at least and at most, as a part of the strongest ink. Below the first lie
/// the traces of JPEG beside strokes.
const DRAWN: (f32, f32) = (0.05, 0.3);

/// A picture as MNIST would have it, `height * width` pixels from 0 (paper) to 1 (ink), or `None`
/// if every pixel is the same.
///
/// The background is what most of the border is; ink is what differs from it, whichever of the
/// two is lighter. What is drawn is cropped, scaled by one factor until it fits in 20 of 28 parts
/// of the image, and put where its centre of mass comes to the centre. LeCun et al.,
/// "Gradient-based learning applied to document recognition", 1998.
pub(super) fn like_mnist(picture: &GrayImage, height: usize, width: usize) -> Option<Vec<f32>> {
    let (ink, noise) = ink(picture)?;
    let cropped = crop_to_drawing(&ink, (2.0 * noise).clamp(DRAWN.0, DRAWN.1))?;
    let (box_w, box_h) = ((width * 20).div_ceil(28) as u32, (height * 20).div_ceil(28) as u32);
    let factor =
        (box_w as f32 / cropped.width() as f32).min(box_h as f32 / cropped.height() as f32);
    let side = |len: u32, most: u32| ((len as f32 * factor).round() as u32).clamp(1, most);
    let (w, h) = (side(cropped.width(), box_w), side(cropped.height(), box_h));
    // Averages over the pixels that are covered where it shrinks.
    let scaled = if (w, h) == cropped.dimensions() {
        cropped
    } else {
        stretched(&resize(&cropped, w, h, FilterType::Triangle))
    };
    Some(centred(&scaled, height, width))
}

type Ink = ImageBuffer<Luma<f32>, Vec<f32>>;

/// The ink of each pixel, from 0 to 1; and that of the border, where nothing is drawn but for a
/// tenth of it at most: shadows, and the noise of cameras.
fn ink(picture: &GrayImage) -> Option<(Ink, f32)> {
    let (width, height) = picture.dimensions();
    let at_border = |x: u32, y: u32| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    let mut border: Vec<u8> = picture
        .enumerate_pixels()
        .filter(|(x, y, _)| at_border(*x, *y))
        .map(|(_, _, pixel)| pixel.0[0])
        .collect();
    border.sort_unstable();
    let background = f32::from(*border.get(border.len() / 2)?);
    // Ink is what there is of the other end of the scale.
    let sign = if background > 127.0 { -1.0 } else { 1.0 };
    let ink = ImageBuffer::from_fn(width, height, |x, y| {
        Luma([(sign * (f32::from(picture.get_pixel(x, y).0[0]) - background)).max(0.0)])
    });
    let strongest = strongest(&ink);
    let mut noise: Vec<f32> =
        border.iter().map(|&grey| (sign * (f32::from(grey) - background)).max(0.0)).collect();
    noise.sort_unstable_by(f32::total_cmp);
    let noise = noise[noise.len() * 9 / 10] / strongest;
    (strongest > 0.0).then(|| (stretched(&ink), noise))
}

fn strongest(ink: &Ink) -> f32 {
    ink.pixels().map(|pixel| pixel.0[0]).fold(0.0, f32::max)
}

/// The ink scaled until the strongest is 1.
fn stretched(ink: &Ink) -> Ink {
    let strongest = strongest(ink).max(f32::MIN_POSITIVE);
    ImageBuffer::from_fn(ink.width(), ink.height(), |x, y| {
        Luma([ink.get_pixel(x, y).0[0] / strongest])
    })
}

/// What is drawn, with at least so much ink.
fn crop_to_drawing(ink: &Ink, least: f32) -> Option<Ink> {
    let drawn = || ink.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] >= least);
    let (left, right) = (drawn().map(|(x, ..)| x).min()?, drawn().map(|(x, ..)| x).max()?);
    let (top, bottom) = (drawn().map(|(_, y, _)| y).min()?, drawn().map(|(_, y, _)| y).max()?);
    Some(crop_imm(ink, left, top, right - left + 1, bottom - top + 1).to_image())
}

/// The drawing on an empty image, as far as it fits with its centre of mass in the pixel that MNIST
/// has it in: number 14 of 28, counted from 0.
fn centred(drawing: &Ink, height: usize, width: usize) -> Vec<f32> {
    let (mut mass, mut mass_x, mut mass_y) = (0.0_f64, 0.0, 0.0);
    for (x, y, pixel) in drawing.enumerate_pixels() {
        let ink = f64::from(pixel.0[0]);
        mass += ink;
        mass_x += ink * f64::from(x);
        mass_y += ink * f64::from(y);
    }
    let start = |len: usize, own: u32, centre: f64| {
        let most = len.saturating_sub(own as usize);
        // Half a pixel is rounded down, whatever the last digits of the sums.
        ((len / 2) as f64 - centre - 0.501).ceil().clamp(0.0, most as f64) as usize
    };
    let left = start(width, drawing.width(), mass_x / mass);
    let top = start(height, drawing.height(), mass_y / mass);
    let mut pixels = vec![0.0; height * width];
    for (x, y, pixel) in drawing.enumerate_pixels() {
        let (x, y) = (left + x as usize, top + y as usize);
        if x < width && y < height {
            pixels[y * width + x] = pixel.0[0].clamp(0.0, 1.0);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Black ink on white paper: an upright bar at the left of a wide picture.
    fn bar(scale: u32) -> GrayImage {
        GrayImage::from_fn(60 * scale, 40 * scale, |x, y| {
            let (x, y) = (x / scale, y / scale);
            Luma([if (5..10).contains(&x) && (10..30).contains(&y) { 10 } else { 250 }])
        })
    }

    fn centre_of_mass(pixels: &[f32], width: usize) -> (f32, f32) {
        let sum: f32 = pixels.iter().sum();
        let weighted = |f: &dyn Fn(usize) -> usize| {
            pixels.iter().enumerate().map(|(i, p)| p * f(i) as f32).sum::<f32>() / sum
        };
        (weighted(&|i| i % width), weighted(&|i| i / width))
    }

    #[test]
    fn a_drawing_fills_20_rows_and_its_mass_lies_at_the_centre() {
        for scale in [1, 2, 7] {
            let pixels = like_mnist(&bar(scale), 28, 28).unwrap();
            let drawn: Vec<usize> = (0..28 * 28).filter(|&i| pixels[i] > 0.5).collect();
            let rows = drawn.iter().map(|i| i / 28);
            assert_eq!((rows.clone().min(), rows.max()), (Some(4), Some(23)), "scale {scale}");
            assert_eq!(drawn.len(), 5 * 20, "scale {scale}");
            let (x, y) = centre_of_mass(&pixels, 28);
            assert!((x - 14.0).abs() <= 0.5 && (y - 14.0).abs() <= 0.5, "{x} {y}");
        }
    }

    #[test]
    fn light_on_dark_is_the_same_as_dark_on_light() {
        let mut inverted = bar(1);
        image::imageops::invert(&mut inverted);
        assert_eq!(like_mnist(&bar(1), 28, 28), like_mnist(&inverted, 28, 28));
    }

    #[test]
    fn an_empty_sheet_is_no_drawing() {
        for grey in [0, 128, 255] {
            let sheet = GrayImage::from_pixel(30, 20, Luma([grey]));
            assert_eq!(like_mnist(&sheet, 28, 28), None);
        }
    }

    #[cfg(feature = "bundled-mnist")]
    #[test]
    fn an_image_of_mnist_stays_where_it_is() {
        let test = dataset::mnist::bundled().unwrap().test;
        let same = |i: &usize| {
            let image = GrayImage::from_raw(28, 28, test.image(*i).to_vec()).unwrap();
            let pixels = like_mnist(&image, 28, 28).unwrap();
            let expected = test.image(*i).iter().map(|&p| f32::from(p) / 255.0);
            pixels.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01)
        };
        // Of a few the outermost pixels are faint, or the whitest are not white.
        let same = (0..200).filter(same).count();
        assert!(same >= 180, "{same} of 200");
    }
}
