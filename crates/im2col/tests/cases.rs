//! Geometries and results that can be worked out by hand.

use im2col::{
    ConvGeometry, GeometryError, Im2colError, Layout, Padding, Window, col2im, fold, im2col, naive,
    overlap_counts, unfold,
};
use tensor4::{Shape4, Tensor4};
use testkit::{shape, tensor};

/// Pixels 1, 2, 3, … in order.
fn counting(shape: Shape4) -> Tensor4<f32> {
    let mut next = 0.0;
    Tensor4::from_fn(shape, |_, _, _, _| {
        next += 1.0;
        next
    })
}

#[test]
fn output_sizes() -> Result<(), GeometryError> {
    let w = Window::square;
    let one_side = |top, left, bottom, right| Padding { top, left, bottom, right };
    for (what, in_h, in_w, window, out) in [
        ("LeNet", 28, 28, w(5), (24, 24)),
        ("AlexNet conv1", 227, 227, w(11).stride(4), (55, 55)),
        ("VGG", 224, 224, w(3).pad(1), (224, 224)),
        ("ResNet conv1", 224, 224, w(7).stride(2).pad(3), (112, 112)),
        ("1 x 1, stride 2, odd", 7, 9, w(1).stride(2), (4, 5)),
        ("stride above the kernel", 10, 10, w(2).stride(5), (2, 2)),
        ("stride beyond the input", 3, 3, w(1).stride(usize::MAX), (1, 1)),
        ("dilation", 9, 9, w(3).dilation(4), (1, 1)),
        ("dilation of one tap", 4, 5, w(1).dilation(usize::MAX), (4, 5)),
        ("padding on one side", 4, 4, w(3).padding(one_side(2, 0, 0, 1)), (4, 3)),
        ("padding larger than the kernel", 1, 1, w(2).pad(3), (6, 6)),
        ("one pixel", 1, 1, w(1), (1, 1)),
        ("different directions", 5, 7, Window::new(5, 1).strides(1, 3), (1, 3)),
        ("no rows, but padding", 0, 3, Window::new(2, 1).pad(1), (1, 5)),
    ] {
        let g = ConvGeometry::new(3, in_h, in_w, window)?;
        assert_eq!((g.out_h(), g.out_w()), out, "{what}");
        assert_eq!(g.patch_len(), 3 * window.kernel_h * window.kernel_w, "{what}");
        assert_eq!(g.columns_len(), g.patch_len() * g.out_plane_len(), "{what}");
        assert_eq!(g.rows_columns_len(g.out_h()), g.columns_len(), "{what}");
        assert_eq!(g.in_len(), 3 * in_h * in_w, "{what}");
        assert_eq!(g.batch_columns_len(2)?, 2 * g.columns_len(), "{what}");
        assert_eq!(g.with_channels(1)?, ConvGeometry::new(1, in_h, in_w, window)?, "{what}");
    }
    Ok(())
}

#[test]
fn padding_and_stride_by_hand() -> Result<(), Im2colError> {
    // 0 0 0 0
    // 0 1 2 0
    // 0 3 4 0
    // 0 0 0 0
    let x = counting(shape(1, 1, 2, 2));
    let rows = im2col(&x, 2, 2, 2, 1)?;
    assert_eq!(rows.matrix_dims(), (4, 4));
    #[rustfmt::skip]
    let expected = [
        0.0, 0.0, 0.0, 1.0,
        0.0, 0.0, 2.0, 0.0,
        0.0, 3.0, 0.0, 0.0,
        4.0, 0.0, 0.0, 0.0,
    ];
    assert_eq!(rows.data(), expected);
    Ok(())
}

#[test]
fn dilation_and_channels_by_hand() -> Result<(), Im2colError> {
    // 1 2 3 | 7 8 9
    // 4 5 6 | 10 11 12, taps two columns apart
    let x = counting(shape(1, 2, 2, 3));
    let window = Window::new(2, 2).dilations(1, 2);
    let columns = unfold(&x, window, Layout::PatchRows)?;
    assert_eq!(columns.shape(), shape(1, 1, 8, 1));
    assert_eq!(columns.data(), [1.0, 3.0, 4.0, 6.0, 7.0, 9.0, 10.0, 12.0]);
    Ok(())
}

#[test]
fn a_window_wholly_in_the_padding_reads_zeros() -> Result<(), Im2colError> {
    let x = counting(shape(1, 1, 1, 1));
    let rows = unfold(&x, Window::square(1).pad(1), Layout::PixelRows)?;
    assert_eq!(rows.data(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    Ok(())
}

#[test]
fn overlaps_are_summed() -> Result<(), Im2colError> {
    let images = shape(1, 1, 1, 4);
    let window = Window::new(1, 2);
    // Patches (1, 2), (3, 4), (5, 6) over pixels 01, 12, 23.
    let columns = Tensor4::<f32>::from_matrix(3, 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    let sums = fold(&columns, images, window, Layout::PixelRows)?;
    assert_eq!(sums.data(), [1.0, 5.0, 9.0, 6.0]);
    let counts = overlap_counts(&ConvGeometry::new(1, 1, 4, window)?);
    assert_eq!(counts, [1, 2, 2, 1]);
    Ok(())
}

#[test]
fn pixels_between_strides_are_covered_by_nothing() -> Result<(), Im2colError> {
    let window = Window::new(1, 2).strides(1, 3);
    let counts = overlap_counts(&ConvGeometry::new(1, 1, 7, window)?);
    assert_eq!(counts, [1, 1, 0, 1, 1, 0, 0]);
    let images = shape(1, 1, 1, 7);
    let x = counting(images);
    let sums = fold(&unfold(&x, window, Layout::PatchRows)?, images, window, Layout::PatchRows)?;
    assert_eq!(sums.data(), [1.0, 2.0, 0.0, 4.0, 5.0, 0.0, 0.0]);
    Ok(())
}

#[test]
fn the_calls_of_the_book_are_pixel_rows() -> Result<(), Im2colError> {
    let images = shape(2, 3, 7, 6);
    let x = tensor::<f64>(images, 1);
    let window = Window::new(3, 2).stride(2).pad(1);
    let col = im2col(&x, 3, 2, 2, 1)?;
    assert_eq!(col, unfold(&x, window, Layout::PixelRows)?);
    let back = col2im(&col, images, 3, 2, 2, 1)?;
    assert_eq!(back, fold(&col, images, window, Layout::PixelRows)?);
    assert_eq!(back, naive::col2im(&col, images, 3, 2, 2, 1)?);
    Ok(())
}

#[test]
fn no_images_and_no_channels_are_empty() -> Result<(), Im2colError> {
    for layout in [Layout::PatchRows, Layout::PixelRows] {
        for images in [shape(0, 2, 3, 3), shape(2, 0, 3, 3)] {
            let columns = unfold(&Tensor4::<f32>::zeros(images), Window::square(2), layout)?;
            assert!(columns.is_empty(), "{images}");
            let back = fold(&columns, images, Window::square(2), layout)?;
            assert_eq!(back.shape(), images);
        }
    }
    Ok(())
}

/// Both ways, in both layouts.
fn assert_as_naive(images: Shape4, window: Window) -> Result<(), Im2colError> {
    let x = tensor::<f32>(images, 2);
    for layout in [Layout::PatchRows, Layout::PixelRows] {
        let columns = unfold(&x, window, layout)?;
        assert_eq!(columns, naive::unfold(&x, window, layout)?, "{window}, {layout:?}");
        let y = tensor::<f32>(columns.shape(), 3);
        let expected = naive::fold(&y, images, window, layout)?;
        assert_eq!(fold(&y, images, window, layout)?, expected, "{window}, {layout:?}");
    }
    Ok(())
}

/// Patches so long that a row of the output is gone through in several blocks.
#[test]
fn many_channels_are_as_naive() -> Result<(), Im2colError> {
    for window in [Window::square(3).pad(1), Window::square(3), Window::square(5).stride(2)] {
        assert_as_naive(shape(1, 64, 5, 20), window)?;
    }
    Ok(())
}

/// What holds for one axis of these does not hold for the other, so that what is made for usual windows must
/// not run.
#[test]
fn axes_that_differ_are_as_naive() -> Result<(), Im2colError> {
    let as_wide = Window::square(6).strides(1, 2).pad(6);
    for window in [
        Window::square(3).dilations(2, 1),
        Window::square(3).dilations(1, 2),
        Window::square(3).strides(2, 1).pad(1),
        as_wide,
        Window::new(5, 3).pad(1),
    ] {
        assert_as_naive(shape(2, 3, 7, 8), window)?;
    }
    let g = ConvGeometry::new(3, 7, 8, as_wide)?;
    assert_eq!(g.out_w(), 8, "as wide as the input");
    Ok(())
}

#[test]
fn a_window_says_what_it_is() {
    let window = Window::new(5, 3).strides(2, 1).dilations(1, 4);
    let padding = Padding { top: 6, left: 7, bottom: 8, right: 9 };
    assert_eq!(
        window.padding(padding).to_string(),
        "kernel 5x3, stride 2x1, dilation 1x4, padding top 6 left 7 bottom 8 right 9"
    );
}

#[test]
fn a_window_of_nothing_is_completed_by_nothing() {
    for window in [Window::new(0, 0).pad(2), Window::square(3).stride(0).pad(2)] {
        assert_eq!(window.complete(5, 5), window);
        assert!(ConvGeometry::new(1, 5, 5, window.complete(5, 5)).is_err());
    }
}
