//! One dimension of a convolution: which tap of which output stands on which input.

use core::ops::Range;

/// The taps along one dimension. Tap `k` of output `o` stands on the padded input at
/// `o * stride + k * dilation`; subtracting `pad` gives the input itself.
///
/// Invariants, which the geometry checks: every size but `input` and `pad` is at least 1, the
/// last tap of the last output lies within the padded input, and the length of that fits `usize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// Padding before the first input.
    pub(crate) pad: usize,
}

impl Axis {
    /// The outputs whose tap `k` stands on the input, not on padding. May be empty.
    pub(crate) fn outputs(&self, k: usize) -> Range<usize> {
        let offset = k * self.dilation;
        let first = self.pad.saturating_sub(offset);
        let end = (self.pad + self.input).saturating_sub(offset);
        // A division is slower than a short row is copied, and most strides are 1.
        let (first, end) = if self.stride == 1 {
            (first, end)
        } else {
            (first.div_ceil(self.stride), end.div_ceil(self.stride))
        };
        let end = end.min(self.output);
        first.min(end)..end
    }

    /// The taps of output `o` that stand on the input, not on padding. May be empty.
    pub(crate) fn taps(&self, o: usize) -> Range<usize> {
        let offset = o * self.stride;
        let first = self.pad.saturating_sub(offset);
        let end = (self.pad + self.input).saturating_sub(offset);
        let (first, end) = if self.dilation == 1 {
            (first, end)
        } else {
            (first.div_ceil(self.dilation), end.div_ceil(self.dilation))
        };
        let end = end.min(self.kernel);
        first.min(end)..end
    }

    /// The outputs all of whose taps stand on the input. May be empty.
    pub(crate) fn inner_outputs(&self) -> Range<usize> {
        let first = self.outputs(0);
        if first.is_empty() {
            return 0..0;
        }
        let end = self.outputs(self.kernel - 1).end;
        first.start.min(end)..end
    }

    /// The input under tap `k` of output `o`, which must not be padding.
    pub(crate) fn input_at(&self, o: usize, k: usize) -> usize {
        o * self.stride + k * self.dilation - self.pad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_definition() {
        for input in 0..6 {
            for (kernel, stride, dilation) in
                [(1, 1, 1), (2, 1, 1), (3, 1, 2), (3, 2, 1), (2, 3, 2), (1, 4, 3), (4, 2, 3)]
            {
                for (pad, pad_after) in [(0, 0), (1, 1), (3, 0), (0, 5), (7, 8)] {
                    let padded = input + pad + pad_after;
                    let extent = dilation * (kernel - 1) + 1;
                    if padded < extent {
                        continue;
                    }
                    let output = (padded - extent) / stride + 1;
                    let axis = Axis { input, output, kernel, stride, dilation, pad };
                    let on_input = |o: usize, k: usize| {
                        let at = o * stride + k * dilation;
                        at >= pad && at < pad + input
                    };
                    for k in 0..kernel {
                        let range = axis.outputs(k);
                        for o in 0..output {
                            assert_eq!(range.contains(&o), on_input(o, k), "{axis:?}, tap {k}");
                        }
                        assert!(range.start <= range.end && range.end <= output, "{axis:?}");
                    }
                    let inner = axis.inner_outputs();
                    assert!(inner.start <= inner.end && inner.end <= output, "{axis:?}");
                    for o in 0..output {
                        let range = axis.taps(o);
                        for k in 0..kernel {
                            assert_eq!(range.contains(&k), on_input(o, k), "{axis:?}, output {o}");
                        }
                        assert!(range.start <= range.end && range.end <= kernel, "{axis:?}");
                        let all = (0..kernel).all(|k| on_input(o, k));
                        assert_eq!(inner.contains(&o), all, "{axis:?}, output {o}");
                    }
                }
            }
        }
    }
}
