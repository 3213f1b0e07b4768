//! Windows that stride or are dilated, as windows that do neither.
//!
//! A window of stride s reads the pixels at each place within a stride as an image of its own, with
//! every s-th tap as its kernel: its sums are those of s * s *phases of the input*. A window of
//! dilation d computes every d-th pixel from every d-th pixel: its output falls into d * d *phases of
//! the output*, each a convolution by itself.

use std::ops::Range;

use im2col::Window;

use crate::kernels::winograd::Form;

/// The phases of a window.
pub(super) struct Phases {
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Of the phases of the input along each dimension, how many have all taps; the others have one
    /// less, since the kernel ends before.
    full: [usize; 2],
}

/// How many taps of a window meet the pixels at one place within a stride, if its phases are
/// convolutions that Winograd's algorithm may serve.
pub(super) fn taps(window: Window) -> Option<usize> {
    let (h, w) =
        (window.kernel_h.div_ceil(window.stride_h), window.kernel_w.div_ceil(window.stride_w));
    let plain = |stride, dilation| stride == 1 || dilation == 1;
    (h == w
        && plain(window.stride_h, window.dilation_h)
        && plain(window.stride_w, window.dilation_w))
    .then_some(h)
}

impl Phases {
    /// Those of a window with the taps of the form.
    pub(super) fn new(window: Window, form: Form) -> Self {
        let (kernel, stride) =
            ([window.kernel_h, window.kernel_w], [window.stride_h, window.stride_w]);
        let full = [0, 1].map(|i| kernel[i] - stride[i] * (form.taps() - 1));
        Self { stride, dilation: [window.dilation_h, window.dilation_w], full }
    }

    /// Phases of the input.
    pub(super) fn count(&self) -> usize {
        self.stride[0] * self.stride[1]
    }

    /// Whether there is more than one phase of the input or of the output.
    pub(super) fn several(&self) -> bool {
        self.count() * self.dilation[0] * self.dilation[1] > 1
    }

    /// The first slots of the four kinds of phases, and the last: those with all taps along the rows of
    /// the kernel alone, along both dimensions, along the columns alone, along none.
    fn kinds(&self) -> [usize; 4] {
        let ([full_h, full_w], [stride_h, stride_w]) = (self.full, self.stride);
        let rows = full_h * (stride_w - full_w);
        let both = full_h * stride_w;
        [rows, both, both + (stride_h - full_h) * full_w, self.count()]
    }

    /// The phase in a slot: its first row and column within a stride.
    pub(super) fn at(&self, slot: usize) -> [usize; 2] {
        let ([full_h, full_w], stride_w) = (self.full, self.stride[1]);
        let [rows, both, columns, _] = self.kinds();
        // Where a kind begins, how wide it is, and its first row and column.
        let (first, width, row, col) = if slot < rows {
            (0, stride_w - full_w, 0, full_w)
        } else if slot < both {
            (rows, full_w, 0, 0)
        } else if slot < columns {
            (both, full_w, full_h, 0)
        } else {
            (columns, stride_w - full_w, full_h, full_w)
        };
        let slot = slot - first;
        [row + slot / width, col + slot % width]
    }

    /// The slots whose phases have weights other than 0 at a point. A polynomial that lacks the highest
    /// power is 0 at infinity, the last point of each dimension.
    pub(super) fn slots(&self, form: Form, point: usize) -> Range<usize> {
        let last = form.side() - 1;
        let (row, col) = (point / form.side() == last, point % form.side() == last);
        let [rows, both, columns, all] = self.kinds();
        let start = if col { rows } else { 0 };
        start..match (row, col) {
            (true, _) => both,
            (false, true) => columns,
            (false, false) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_slot_and_is_read_at_the_points_where_it_has_weights() {
        for (kernel, stride) in
            [([3, 3], [2, 2]), ([11, 11], [4, 4]), ([7, 5], [3, 2]), ([3, 3], [1, 1])]
        {
            let window = Window::new(kernel[0], kernel[1]).strides(stride[0], stride[1]);
            let form = Form::fast(taps(window).expect("as many along both")).expect("a form");
            let phases = Phases::new(window, form);
            let mut seen = vec![false; phases.count()];
            for slot in 0..phases.count() {
                let [row, col] = phases.at(slot);
                assert!(!std::mem::replace(&mut seen[row * stride[1] + col], true));
                let all = [row, col].map(|_| form.taps());
                let taps = [0, 1].map(|i| (kernel[i] - [row, col][i]).div_ceil(stride[i]));
                for point in 0..form.points() {
                    let at_infinity = [point / form.side(), point % form.side()]
                        .map(|place| place + 1 == form.side());
                    let zero = (0..2).any(|i| at_infinity[i] && taps[i] < all[i]);
                    assert_eq!(phases.slots(form, point).contains(&slot), !zero);
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
