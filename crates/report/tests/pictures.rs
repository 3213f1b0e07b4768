//! Pictures: what a PNG decodes to, grids, shrinking, filters.

#[allow(dead_code, reason = "shared with the other tests")]
mod common;

use net::{Sequential, layers};
use proptest::prelude::*;
use report::{
    Area, Picture, ReportError, Scale, filter_pictures, filters_before_and_after, grid, plane,
};
use tensor4::{Shape4, Tensor4};

/// Size, channels and bytes of a PNG, as its own decoder sees them.
fn decode(bytes: &[u8]) -> (usize, usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    data.truncate(info.buffer_size());
    let (width, height) = (info.width as usize, info.height as usize);
    (width, height, info.color_type.samples(), data)
}

proptest! {
    #[test]
    fn a_png_decodes_to_the_picture(
        width in 1_usize..20,
        height in 1_usize..20,
        grey in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let noise = |x: usize, y: usize, channel: usize| {
            (seed.wrapping_mul((x * 31 + y * 7 + channel + 1) as u64) >> 32) as u8
        };
        let picture = Picture::from_fn(width, height, |x, y| {
            if grey { [noise(x, y, 0); 3] } else { [0, 1, 2].map(|c| noise(x, y, c)) }
        });
        let (w, h, channels, data) = decode(&picture.to_png());
        prop_assert_eq!((w, h), (width, height));
        for (i, pixel) in data.chunks_exact(channels).enumerate() {
            let [r, g, b] = picture.pixel(i % width, i / width);
            let expected = if channels == 1 { vec![r] } else { vec![r, g, b] };
            prop_assert_eq!(pixel, expected);
        }
    }

    #[test]
    fn shrinking_keeps_sides_within_and_the_mean_near(
        width in 1_usize..60,
        height in 1_usize..60,
        side in 1_usize..40,
    ) {
        let even = Picture::filled(width, height, [90, 10, 200]);
        let small = even.shrunk(side);
        prop_assert!(small.width() <= side.max(1) || width <= side);
        prop_assert!(small.width().max(small.height()) <= side.max(width.max(height).min(side)));
        let pixels = (0..small.width()).flat_map(|x| (0..small.height()).map(move |y| (x, y)));
        for (x, y) in pixels {
            prop_assert_eq!(small.pixel(x, y), [90, 10, 200]);
        }
    }
}

#[test]
fn greys_run_from_the_smallest_to_the_largest_value() {
    let values = [-2.0_f32, 0.0, 2.0, f32::NAN, f32::INFINITY, -1.0];
    let scale = Scale::of(&values);
    assert_eq!(scale, Scale { low: -2.0, high: 2.0 });
    let picture = plane(&values, 2, 3, scale);
    let greys: Vec<u8> = (0..6).map(|i| picture.pixel(i % 3, i / 3)[0]).collect();
    assert_eq!(greys, [0, 128, 255, 0, 255, 64]);
    // Nothing to tell apart, nothing to divide by.
    assert_eq!(Scale::of(&[5.0_f32; 4]).grey(5.0), 0);
    assert_eq!(Scale::of::<f32>(&[f32::NAN]), Scale { low: 0.0, high: 0.0 });
}

#[test]
fn a_grid_has_every_tile_in_its_cell() {
    let tiles: Vec<Picture> = (1..=5).map(|i| Picture::filled(3, 2, [i; 3])).collect();
    let whole = grid(&tiles, 2, 1, [9; 3]);
    assert_eq!((whole.width(), whole.height()), (2 * 4 + 1, 3 * 3 + 1));
    for (i, tile) in tiles.iter().enumerate() {
        let (x, y) = (1 + i % 2 * 4, 1 + i / 2 * 3);
        assert_eq!(whole.pixel(x + 2, y + 1), tile.pixel(0, 0));
        assert_eq!(whole.pixel(x - 1, y - 1), [9; 3]);
    }
    assert_eq!(whole.pixel(8, 8), [9; 3], "the last cell is empty");
    // No tile at all is a picture still.
    assert!(!grid(&[], 3, 0, [0; 3]).to_png().is_empty());
}

#[test]
fn frames_and_crops_may_reach_beyond_the_border() {
    let mut picture = Picture::filled(5, 4, [0; 3]);
    picture.outline(Area { top: -1, left: 2, height: 3, width: 9 }, [7; 3]);
    let drawn: Vec<(usize, usize)> = (0..4)
        .flat_map(|y| (0..5).map(move |x| (x, y)))
        .filter(|&(x, y)| picture.pixel(x, y) == [7; 3])
        .collect();
    assert_eq!(drawn, [(2, 0), (2, 1), (3, 1), (4, 1)]);
    let part = picture.cropped(Area { top: -2, left: 3, height: 4, width: 10 });
    assert_eq!((part.width(), part.height()), (2, 2));
    assert_eq!([part.pixel(0, 0), part.pixel(0, 1)], [[0; 3], [7; 3]]);
}

#[test]
fn every_filter_has_a_grey_scale_of_its_own() {
    let (before, mut after) = (common::network(1), common::network(1));
    // The second filter is a ramp, a hundred times as large as the others.
    let weight = after.parameters_mut().next().unwrap();
    for (i, value) in weight.value_mut()[9..18].iter_mut().enumerate() {
        *value = 100.0 * i as f32;
    }
    let [old, new] = filter_pictures(&before, &after).unwrap();
    // Five filters in rows of three, one pixel apart.
    assert_eq!((old.width(), old.height()), (3 * 4 + 1, 2 * 4 + 1));
    for y in 0..3 {
        for x in 0..3 {
            let grey = ((y * 3 + x) as f64 / 8.0 * 255.0).round() as u8;
            assert_eq!(new.pixel(5 + x, 1 + y), [grey; 3]);
            assert_eq!(new.pixel(1 + x, 1 + y), old.pixel(1 + x, 1 + y), "unchanged filter");
        }
    }
    let both = filters_before_and_after(&before, &after).unwrap();
    assert_eq!(both.height(), 10 * old.height());
    assert_eq!(both.pixel(15, 15), old.pixel(1, 1));
}

#[test]
fn networks_without_filters_or_with_others_are_errors() {
    let flat = Sequential::<f32>::builder(1, 4, 4).add(layers::affine(2)).build(0).unwrap();
    assert_eq!(filter_pictures(&flat, &flat), Err(ReportError::NoFilters));
    let other = Sequential::<f32>::builder(1, 12, 14)
        .add(layers::conv2d(2, im2col::Window::square(3)))
        .build(0)
        .unwrap();
    let error = filter_pictures(&common::network(0), &other).unwrap_err().to_string();
    assert!(error.contains("[5, 1, 3, 3]") && error.contains("[2, 1, 3, 3]"), "{error}");
}

#[test]
fn colours_are_those_of_three_channels() {
    let shape = Shape4::new(1, 3, 1, 2).unwrap();
    let x = Tensor4::<f32>::from_vec(shape, vec![1.0, 0.0, 0.5, 0.0, 0.0, 1.0]).unwrap();
    let picture = report::image(x.data(), shape, Scale { low: 0.0, high: 1.0 });
    assert_eq!(picture.pixel(0, 0), [255, 128, 0]);
    assert_eq!(picture.pixel(1, 0), [0, 0, 255]);
}
