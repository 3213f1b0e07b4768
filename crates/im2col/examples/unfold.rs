//! Unfolds a small image into columns, and folds them back.
//!
//! Shows what lies under a 2x2 window at each place, that col2im adds up what overlaps, and that
//! dividing by the number of windows over each pixel brings the image back.
//!
//!     cargo run -p im2col --example unfold

use im2col::{ConvGeometry, Layout, Window, fold, overlap_counts, unfold};
use tensor4::{Shape4, Tensor4};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = Shape4::new(1, 1, 3, 4)?;
    let x = Tensor4::<f32>::from_fn(shape, |_, _, h, w| (10 * h + w) as f32);
    println!("The image: {x:.0}");

    let window = Window::square(2);
    let geometry = ConvGeometry::new(1, 3, 4, window)?;
    let (out_h, out_w) = (geometry.out_h(), geometry.out_w());
    println!("{out_h} x {out_w} places of a 2x2 window. Under it, a row for each place:");
    let columns = unfold(&x, window, Layout::PixelRows)?;
    println!("{columns:.0}");

    let sums = fold(&columns, shape, window, Layout::PixelRows)?;
    println!("Folded back, with overlaps summed: {sums:.0}");

    let counts = overlap_counts(&geometry);
    let counts = Tensor4::from_vec(shape, counts.iter().map(|&count| count as f32).collect())?;
    let average = sums.zip_map(&counts, |sum, count| sum / count)?;
    println!("Divided by the number of windows over each pixel: {average:.0}");
    assert_eq!(average, x);
    Ok(())
}
