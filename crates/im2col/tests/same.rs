//! `SAME` padding, by its definition.

use im2col::{ConvGeometry, Padding, Window};
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_output_is_the_input_over_the_stride_and_no_padding_is_wasted(
        (in_h, in_w) in (1..40_usize, 1..40_usize),
        (kernel_h, kernel_w) in (1..8_usize, 1..8_usize),
        (stride_h, stride_w) in (1..6_usize, 1..6_usize),
        (dilation_h, dilation_w) in (1..4_usize, 1..4_usize),
    ) {
        let window = Window::new(kernel_h, kernel_w)
            .strides(stride_h, stride_w)
            .dilations(dilation_h, dilation_w);
        let upper = window.same_upper(in_h, in_w);
        let lower = window.same_lower(in_h, in_w);
        let Padding { top, left, bottom, right } = upper.padding;
        prop_assert!(bottom - top <= 1 && right - left <= 1);
        prop_assert_eq!(
            lower.padding,
            Padding { top: bottom, left: right, bottom: top, right: left }
        );
        for window in [upper, lower] {
            // A kernel may be smaller than its stride, and then need no padding at all.
            let g = ConvGeometry::new(1, in_h, in_w, window)?;
            prop_assert_eq!(g.out_h(), in_h.div_ceil(stride_h));
            prop_assert_eq!(g.out_w(), in_w.div_ceil(stride_w));
        }
        // One row less, and an output row is lost.
        if bottom > 0 {
            let less = window.padding(Padding { bottom: bottom - 1, ..upper.padding });
            let lost = ConvGeometry::new(1, in_h, in_w, less);
            prop_assert!(lost.is_err() || lost?.out_h() < in_h.div_ceil(stride_h));
        }
    }
}

/// As `torch.nn.functional.conv2d(x, w, padding="same")` pads: the odd one at the end.
#[test]
fn pytorch_at_stride_1() {
    for (kernel, dilation, [before, after]) in [
        (1, 1, [0, 0]),
        (2, 1, [0, 1]),
        (3, 1, [1, 1]),
        (4, 1, [1, 2]),
        (4, 3, [4, 5]),
        (5, 2, [4, 4]),
    ] {
        let window = Window::square(kernel).dilation(dilation).same_upper(9, 11);
        let expected = Padding { top: before, left: before, bottom: after, right: after };
        assert_eq!(window.padding, expected, "kernel {kernel}, dilation {dilation}");
    }
}

#[test]
fn windows_of_nothing_and_sizes_that_overflow_are_refused_later() {
    for window in [
        Window::new(0, 3),
        Window::square(3).stride(0),
        Window::square(3).dilation(usize::MAX),
        Window::square(usize::MAX),
    ] {
        for same in [window.same_upper(5, 5), window.same_lower(5, 5)] {
            assert!(ConvGeometry::new(1, 5, 5, same).is_err(), "{window}");
        }
    }
}

proptest! {
    #[test]
    fn a_completed_window_leaves_no_pixel_out_and_begins_on_one(
        (in_h, in_w) in (1..20_usize, 1..20_usize),
        (kernel_h, kernel_w) in (1..8_usize, 1..8_usize),
        (stride_h, stride_w) in (1..6_usize, 1..6_usize),
        (dilation_h, dilation_w) in (1..3_usize, 1..3_usize),
        pads in prop::array::uniform4(0..4_usize),
    ) {
        let [top, left, bottom, right] = pads;
        let window = Window::new(kernel_h, kernel_w)
            .strides(stride_h, stride_w)
            .dilations(dilation_h, dilation_w)
            .padding(Padding { top, left, bottom, right });
        let completed = window.complete(in_h, in_w);
        // PyTorch's rule, rounded up, less a window that begins behind the image. Where the padding
        // after the image is larger than PyTorch allows, windows that it fills alone remain.
        let output = |len: usize, kernel: usize, stride: usize, dilation: usize, before: usize, after: usize| {
            let (padded, extent) = (len + before + after, dilation * (kernel - 1) + 1);
            let up = (padded + stride - 1).checked_sub(extent)? / stride + 1;
            let up = if (up - 1) * stride >= len + before { up - 1 } else { up };
            let down = padded.checked_sub(extent).map_or(0, |reach| reach / stride + 1);
            Some(up.max(down)).filter(|&out| out > 0)
        };
        let h = output(in_h, kernel_h, stride_h, dilation_h, top, bottom);
        let w = output(in_w, kernel_w, stride_w, dilation_w, left, right);
        match (ConvGeometry::new(1, in_h, in_w, completed), h, w) {
            (Ok(g), Some(h), Some(w)) => prop_assert_eq!((g.out_h(), g.out_w()), (h, w)),
            (Err(_), h, w) => prop_assert!(h.is_none() || w.is_none()),
            (Ok(g), ..) => prop_assert!(false, "{g:?}"),
        }
        let Padding { top: t, left: l, bottom: b, right: r } = completed.padding;
        prop_assert!((t, l) == (top, left) && b >= bottom && r >= right);
    }
}
