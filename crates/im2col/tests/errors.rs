//! Bad geometries and wrong lengths are typed errors that name the numbers.

use im2col::{
    ConvGeometry, GeometryError, Im2colError, Layout, Padding, Window, col2im_batch_into,
    col2im_into, col2im_rows_add, fold, im2col, naive, unfold_batch_into, unfold_into,
    unfold_rows_into,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tensor4::{Shape4, Tensor4};
use testkit::shape;

const LAYOUTS: [Layout; 2] = [Layout::PatchRows, Layout::PixelRows];
const MAX: usize = usize::MAX;

fn geometry_error(c: usize, h: usize, w: usize, window: Window) -> GeometryError {
    ConvGeometry::new(c, h, w, window).expect_err("must not fit")
}

#[test]
fn zeros_are_refused() {
    let w = Window::square(3);
    for (what, h, w, window) in [
        ("kernel", 0, 3, Window::new(0, 3)),
        ("kernel", 3, 0, Window::new(3, 0)),
        ("stride", 0, 0, w.stride(0)),
        ("stride", 1, 0, w.strides(1, 0)),
        ("dilation", 0, 2, w.dilations(0, 2)),
        ("dilation", 2, 0, w.dilations(2, 0)),
    ] {
        let error = geometry_error(1, 8, 8, window);
        assert_eq!(error, GeometryError::Zero { what, h, w });
        let message = format!("geometry: the {what} is {h}x{w}, both must be at least 1");
        assert_eq!(error.to_string(), message);
    }
    let x = Tensor4::<f32>::zeros(shape(1, 1, 4, 4));
    let error = im2col(&x, 2, 2, 0, 0).unwrap_err();
    let expected = GeometryError::Zero { what: "stride", h: 0, w: 0 };
    assert_eq!(error, Im2colError::Geometry(expected));
}

#[test]
fn kernels_larger_than_the_padded_input_are_refused() {
    let one_side = Padding { top: 1, left: 0, bottom: 0, right: 2 };
    for (h, w, window, dimension, extent, padded) in [
        (4, 9, Window::square(5), "height", 5, 4),
        (9, 4, Window::square(5), "width", 5, 4),
        (3, 9, Window::square(5).padding(one_side), "height", 5, 4),
        (9, 2, Window::square(5).padding(one_side), "width", 5, 4),
        (6, 6, Window::square(3).dilation(3), "height", 7, 6),
        (0, 0, Window::square(1), "height", 1, 0),
        (8, 8, Window::new(1, MAX), "width", MAX, 8),
    ] {
        let error = geometry_error(2, h, w, window);
        let GeometryError::KernelTooLarge {
            dimension: d,
            extent: e,
            input,
            pad_before,
            pad_after,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((*d, *e, input + pad_before + pad_after), (dimension, extent, padded));
        let message = error.to_string();
        assert!(message.contains(&format!("covers {extent}")), "{message}");
        assert!(message.contains(&format!("padding is only {padded}")), "{message}");
    }
    // One row or column more, and they fit.
    assert!(ConvGeometry::new(2, 5, 5, Window::square(5)).is_ok());
    assert!(ConvGeometry::new(2, 7, 7, Window::square(3).dilation(3)).is_ok());
}

#[test]
fn sizes_that_overflow_are_refused() {
    let w = Window::square(1);
    let pad = |top, left, bottom, right| Padding { top, left, bottom, right };
    for (what, c, h, w, window) in [
        ("padded input", 1, MAX, 1, w),
        ("padded input", 1, 8, 8, w.padding(pad(MAX, 0, 0, 0))),
        ("padded input", 1, 8, 8, w.padding(pad(0, MAX / 2, 0, MAX / 2 + 2))),
        ("extent of the dilated kernel", 1, 8, 8, Window::square(3).dilation(MAX)),
        ("extent of the dilated kernel", 1, 8, 8, Window::new(2, MAX).dilations(1, 2)),
        ("image", MAX, 1, 1, w),
        ("image", 1 << 31, 1 << 31, 1, w),
        ("image", 0, 1 << 31, 1 << 31, w),
        ("output", 1, 1, 1, w.pad(1 << 30)),
        ("patch", 1 << 20, 1, 1, Window::square(1 << 21).pad(1 << 20)),
        ("matrix of columns", 1 << 20, 1 << 14, 1 << 14, Window::square(1 << 13)),
    ] {
        let error = geometry_error(c, h, w, window);
        let GeometryError::TooLarge { what: actual, in_c, in_h, in_w, window: actual_window } =
            &error
        else {
            panic!("{what}: {error:?}");
        };
        assert_eq!((*actual, *in_c, *in_h, *in_w), (what, c, h, w));
        assert_eq!(**actual_window, window);
        let message = error.to_string();
        assert!(message.contains(&format!("({c}, {h}, {w})")), "{message}");
        assert!(message.contains(&window.to_string()), "{message}");
    }
}

#[test]
fn batches_that_overflow_are_refused() -> Result<(), GeometryError> {
    let g = ConvGeometry::new(3, 8, 8, Window::square(3).pad(1))?;
    let columns_len = g.columns_len();
    for n in [MAX, MAX / columns_len, Shape4::MAX_LEN / columns_len + 1] {
        let expected = GeometryError::BatchTooLarge { n, columns_len };
        assert_eq!(g.batch_columns_len(n), Err(expected.clone()));
        for layout in LAYOUTS {
            assert_eq!(g.columns_shape(n, layout), Err(expected.clone()));
        }
    }
    let most = Shape4::MAX_LEN / columns_len;
    assert_eq!(g.batch_columns_len(most)?, most * columns_len);
    assert!(matches!(g.with_channels(MAX), Err(GeometryError::TooLarge { what: "image", .. })));
    Ok(())
}

/// The same cases in every run.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        cases: testkit::cases(256),
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    /// Whatever the numbers: an error or sizes that hold together, never a panic.
    #[test]
    fn any_geometry_is_checked(
        sizes in prop::array::uniform3(size()),
        window in prop::array::uniform10(size()),
        n in size(),
    ) {
        let [c, h, w] = sizes;
        let [kh, kw, sh, sw, dh, dw, top, left, bottom, right] = window;
        let padding = Padding { top, left, bottom, right };
        let window = Window::new(kh, kw).strides(sh, sw).dilations(dh, dw).padding(padding);
        match ConvGeometry::new(c, h, w, window) {
            Ok(g) => {
                let padded = h as u128 + top as u128 + bottom as u128;
                let last = (g.out_h() as u128 - 1) * sh as u128 + (kh as u128 - 1) * dh as u128;
                prop_assert!(last < padded && last + sh as u128 >= padded, "{g:?}");
                let len = c as u128 * kh as u128 * kw as u128
                    * g.out_h() as u128 * g.out_w() as u128;
                prop_assert_eq!(g.columns_len() as u128, len);
                prop_assert!(g.columns_len() <= Shape4::MAX_LEN);
                if let Ok(batch) = g.batch_columns_len(n) {
                    prop_assert_eq!(batch as u128, len * n as u128);
                }
            }
            Err(error) => prop_assert!(error.to_string().starts_with("geometry: "), "{error}"),
        }
    }
}

/// Small sizes, and those near the edges of what can be counted.
fn size() -> impl Strategy<Value = usize> {
    let edges = vec![MAX, MAX - 1, MAX / 2, MAX / 2 + 1, Shape4::MAX_LEN, 1 << 32, 1 << 20];
    prop_oneof![20 => 0..6_usize, 1 => prop::sample::select(edges)]
}

#[test]
fn wrong_lengths_are_refused() -> Result<(), GeometryError> {
    // (2, 3, 3) under 2 x 2: columns 8 x 4.
    let g = ConvGeometry::new(2, 3, 3, Window::square(2))?;
    for layout in LAYOUTS {
        for (image_len, columns_len) in [(17, 32), (19, 32), (0, 32), (18, 31), (18, 33), (18, 0)] {
            let mut image = vec![5.0_f32; image_len];
            let mut columns = vec![5.0_f32; columns_len];
            for (operation, result) in [
                ("unfold_into", unfold_into(&image, &g, layout, &mut columns)),
                ("unfold_rows_into", unfold_rows_into(&image, &g, layout, 0..2, &mut columns)),
                ("col2im_into", col2im_into(&columns, &g, layout, &mut image)),
                ("col2im_rows_add", col2im_rows_add(&columns, &g, layout, 0..2, &mut image)),
                ("naive::unfold_into", naive::unfold_into(&image, &g, layout, &mut columns)),
                ("naive::col2im_into", naive::col2im_into(&columns, &g, layout, &mut image)),
            ] {
                let (rows, cols) = match layout {
                    Layout::PatchRows => (8, 4),
                    Layout::PixelRows => (4, 8),
                };
                let expected = if image_len == 18 {
                    let (expected, actual) = (32, columns_len);
                    Im2colError::ColumnsLength { operation, layout, rows, cols, expected, actual }
                } else {
                    let (in_c, in_h, in_w, actual) = (2, 3, 3, image_len);
                    Im2colError::ImageLength { operation, in_c, in_h, in_w, expected: 18, actual }
                };
                assert_eq!(result, Err(expected));
            }
            assert!(image.iter().chain(&columns).all(|&x| x == 5.0), "a buffer was written");
        }
    }
    Ok(())
}

#[test]
fn the_length_of_a_chunk_is_that_of_its_rows() -> Result<(), GeometryError> {
    let g = ConvGeometry::new(2, 3, 3, Window::square(2))?;
    let error = unfold_rows_into(&[0.0; 18], &g, Layout::PatchRows, 1..2, &mut [0.0; 32]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "unfold_rows_into: the columns are 8 x 2 (PatchRows), which is 16 elements, \
         the buffer has 32"
    );
    Ok(())
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "such a range must be refused")]
fn ranges_beyond_the_output_are_refused() -> Result<(), GeometryError> {
    let g = ConvGeometry::new(1, 3, 3, Window::square(2))?;
    let mut image = [0.0_f64; 9];
    for range in [0..3, 2..3, 2..1, 0..MAX, MAX..MAX] {
        for layout in LAYOUTS {
            let expected =
                |operation| Err(Im2colError::OutRows { operation, range: range.clone(), out_h: 2 });
            let result = unfold_rows_into(&image, &g, layout, range.clone(), &mut [0.0; 16]);
            assert_eq!(result, expected("unfold_rows_into"));
            let result = col2im_rows_add(&[0.0; 16], &g, layout, range.clone(), &mut image);
            assert_eq!(result, expected("col2im_rows_add"));
        }
    }
    Ok(())
}

#[test]
fn wrong_shapes_are_refused() -> Result<(), Im2colError> {
    let window = Window::square(2);
    let g = ConvGeometry::new(2, 3, 3, window)?;
    let (in_c, in_h, in_w) = (2, 3, 3);
    for layout in LAYOUTS {
        // As many elements as three images of (2, 3, 3) have.
        let actual = shape(3, 2, 9, 1);
        let mut x = Tensor4::<f32>::zeros(actual);
        let mut columns = vec![0.0; g.batch_columns_len(3)?];
        let error = |operation| Im2colError::ImageShape { operation, in_c, in_h, in_w, actual };
        let result = unfold_batch_into(&x, &g, layout, &mut columns);
        assert_eq!(result, Err(error("unfold_batch_into")));
        let result = col2im_batch_into(&columns, &g, layout, &mut x);
        assert_eq!(result, Err(error("col2im_batch_into")));

        let mut x = Tensor4::<f32>::zeros(shape(3, 2, 3, 3));
        let short = &mut columns[1..];
        let actual = short.len();
        let is_length = |error: &Im2colError| {
            matches!(error, Im2colError::ColumnsLength { actual: a, expected, .. }
                if *a == actual && *expected == actual + 1)
        };
        assert!(is_length(&unfold_batch_into(&x, &g, layout, short).unwrap_err()));
        assert!(is_length(&col2im_batch_into(short, &g, layout, &mut x).unwrap_err()));
    }

    // The columns of one layout are not those of the other, even where the lengths agree.
    let images = shape(1, 2, 3, 3);
    let (patch_rows, pixel_rows) = (shape(1, 1, 8, 4), shape(4, 8, 1, 1));
    for (layout, expected, actual) in
        [(Layout::PatchRows, patch_rows, pixel_rows), (Layout::PixelRows, pixel_rows, patch_rows)]
    {
        let columns = Tensor4::<f32>::zeros(actual);
        let operation = "fold";
        assert_eq!(
            fold(&columns, images, window, layout),
            Err(Im2colError::ColumnsShape { operation, layout, expected, actual })
        );
        assert!(fold(&Tensor4::<f32>::zeros(expected), images, window, layout).is_ok());
    }
    Ok(())
}
