//! Unfolding straight into the panels of a matrix product.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};

use crate::ConvScalar;

/// The widest panel that there is room for.
const MAX_WIDTH: usize = 64;
/// How many panels are unfolded at a time, channel by channel: more would be read in longer pieces,
/// but not all of what is written would stay in the first-level cache.
pub(super) const MAX_PANELS: usize = 4;

/// What is unfolded: the channels of a group in every image of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfold<'a, T> {
    pub(super) g: &'a ConvGeometry,
    /// The batch, from the first channel of the group in the first image on.
    pub(super) x: &'a [T],
    /// From an image to the next.
    pub(super) image_len: usize,
    /// Pixels of a panel.
    pub(super) width: usize,
}

/// Pixels of a panel that stand together in the input, a stride apart, for one tap of the kernel.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first of them in the panel.
    to: usize,
    /// Its place in the input, relative to the first channel; negative within the padding.
    from: isize,
    len: usize,
}

/// Where a panel gets its pixels from under one tap of the kernel, the same for every channel.
///
/// Runs go on over padding and into the next row where the input does so too: for a convolution that
/// keeps the size of its image, one run may fill the panel. What they copy there is replaced by
/// zeros afterwards.
struct Sources {
    copies: [Run; MAX_WIDTH],
    copy_count: usize,
    zeros: [(usize, usize); MAX_WIDTH],
    zero_count: usize,
}

impl Sources {
    const fn new() -> Self {
        let nothing = Run { to: 0, from: 0, len: 0 };
        Self {
            copies: [nothing; MAX_WIDTH],
            copy_count: 0,
            zeros: [(0, 0); MAX_WIDTH],
            zero_count: 0,
        }
    }

    #[inline(always)]
    fn copies(&self) -> &[Run] {
        &self.copies[..self.copy_count]
    }

    /// Copies a run; with the stride of the rows, as a continuation of the one before if it is one.
    #[inline(always)]
    fn copy(&mut self, run: Run, stride: usize) {
        if let Some(last) = self.copies[..self.copy_count].last_mut()
            && last.to + last.len == run.to
            && last.from + (last.len * stride) as isize == run.from
        {
            last.len += run.len;
            return;
        }
        self.copies[self.copy_count] = run;
        self.copy_count += 1;
    }

    #[inline(always)]
    fn zero(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if let Some(last) = self.zeros[..self.zero_count].last_mut()
            && last.1 == from
        {
            last.1 = to;
            return;
        }
        self.zeros[self.zero_count] = (from, to);
        self.zero_count += 1;
    }
}

impl<T: ConvScalar> Unfold<'_, T> {
    /// Unfolds some pixels, counted through all images, into panels, at most
    /// [`MAX_PANELS`]: for each of the `terms` of a sum, a row of [`width`](Self::width) elements.
    /// What lies beyond the pixels is left alone.
    pub(super) fn panels(&self, pixels: Range<usize>, terms: Range<usize>, panels: &mut [T]) {
        let g = self.g;
        let w = g.window();
        let taps = w.kernel_h * w.kernel_w;
        let panel_len = terms.len() * self.width;
        let panel_pixels = |panel: usize| {
            let first = pixels.start + panel * self.width;
            first..(first + self.width).min(pixels.end)
        };
        let mut sources = [const { Sources::new() }; MAX_PANELS];
        let sources = &mut sources[..pixels.len().div_ceil(self.width)];
        // Without padding, the pixels under every tap stand as those under the first.
        let alike = w.padding == Padding::uniform(0);
        if alike {
            for (panel, sources) in sources.iter_mut().enumerate() {
                self.find(sources, (0, 0), panel_pixels(panel), true);
            }
        }
        for tap in 0..taps.min(terms.end) {
            // Term `c * taps + tap` is that of channel `c`.
            let channels = terms.start.saturating_sub(tap).div_ceil(taps)
                ..(terms.end - tap).div_ceil(taps).min(g.in_c());
            if channels.is_empty() {
                continue;
            }
            let (kh, kw) = (tap / w.kernel_w, tap % w.kernel_w);
            let mut shift = kh * w.dilation_h * g.in_w() + kw * w.dilation_w;
            if !alike {
                shift = 0;
                for (panel, sources) in sources.iter_mut().enumerate() {
                    self.find(sources, (kh, kw), panel_pixels(panel), false);
                    if !self.within(sources, &channels) {
                        self.find(sources, (kh, kw), panel_pixels(panel), true);
                    }
                }
            }
            for c in channels {
                let place = (c * taps + tap - terms.start) * self.width;
                let channel = (c * g.in_h() * g.in_w() + shift) as isize;
                for (sources, panel) in sources.iter().zip(panels.chunks_exact_mut(panel_len)) {
                    self.row(sources, channel, &mut panel[place..][..self.width]);
                }
            }
        }
    }

    /// Finds the sources of some pixels under the tap in a row and a column of the kernel. If they
    /// are `exact`, no run goes on over padding.
    fn find(
        &self,
        sources: &mut Sources,
        (kh, kw): (usize, usize),
        pixels: Range<usize>,
        exact: bool,
    ) {
        let (g, w) = (self.g, self.g.window());
        (sources.copy_count, sources.zero_count) = (0, 0);
        let (plane_len, out_w) = (g.out_plane_len(), g.out_w());
        // The columns of the output that read within the image.
        let (shift_w, pad_w) = (kw * w.dilation_w, w.padding.left);
        let first = pad_w.saturating_sub(shift_w).div_ceil(w.stride_w);
        let end = (g.in_w() + pad_w).saturating_sub(shift_w).div_ceil(w.stride_w).min(out_w);
        let (mut image, pixel) = (pixels.start / plane_len, pixels.start % plane_len);
        let (mut oh, mut ow) = (pixel / out_w, pixel % out_w);
        let mut to = 0;
        while to < pixels.len() {
            let len = (out_w - ow).min(pixels.len() - to);
            let (from, until) = (ow.max(first), (ow + len).min(end));
            let ih = (oh * w.stride_h + kh * w.dilation_h).wrapping_sub(w.padding.top);
            if ih >= g.in_h() || from >= until {
                sources.zero(to, to + len);
            } else {
                let place = |ow: usize| {
                    let row = (image * self.image_len + ih * g.in_w()) as isize;
                    row + (ow * w.stride_w + shift_w) as isize - pad_w as isize
                };
                sources.zero(to, to + from - ow);
                if exact {
                    let to = to + from - ow;
                    sources.copy(Run { to, from: place(from), len: until - from }, w.stride_w);
                } else {
                    sources.copy(Run { to, from: place(ow), len }, w.stride_w);
                }
                sources.zero(to + until - ow, to + len);
            }
            to += len;
            (oh, ow) = (oh + 1, 0);
            if oh == g.out_h() {
                (image, oh) = (image + 1, 0);
            }
        }
    }

    /// Whether all runs lie within the batch, whole strides of their last pixels included.
    fn within(&self, sources: &Sources, channels: &Range<usize>) -> bool {
        let plane_len = self.g.in_h() * self.g.in_w();
        let stride = self.g.window().stride_w;
        let (first, last) = (channels.start * plane_len, (channels.end - 1) * plane_len);
        sources.copies().iter().all(|run| {
            let end = run.from + (last + run.len * stride) as isize;
            run.from + first as isize >= 0 && end <= self.x.len() as isize
        })
    }

    /// Unfolds one term; its channel begins at a place of the batch.
    #[inline(always)]
    fn row(&self, sources: &Sources, channel: isize, row: &mut [T]) {
        let stride = self.g.window().stride_w;
        for run in sources.copies() {
            let to = &mut row[run.to..][..run.len];
            let from = &self.x[(channel + run.from) as usize..];
            match stride {
                1 => copy(to, &from[..run.len]),
                2 if from.len() >= 2 * run.len => copy_every(to, from.as_chunks::<2>().0),
                4 if from.len() >= 4 * run.len => copy_every(to, from.as_chunks::<4>().0),
                _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &x)| *to = x),
            }
        }
        for &(from, to) in &sources.zeros[..sources.zero_count] {
            if to == from + 1 {
                row[from] = T::ZERO;
            } else {
                row[from..to].fill(T::ZERO);
            }
        }
    }
}

/// Copies elements, at most [`MAX_WIDTH`], without a loop, in which the compiler would see a call.
#[inline(always)]
fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    #[inline(always)]
    fn block<T: Copy, const N: usize>(to: &mut [T], from: &[T], at: usize) {
        let to: &mut [T; N] = to[at..].first_chunk_mut().expect("the length was asked for");
        *to = *from[at..].first_chunk().expect("they are equally long");
    }
    // The last block overlaps the one before.
    match to.len() {
        0 => {}
        1 => to[0] = from[0],
        2..4 => {
            block::<T, 2>(to, from, 0);
            block::<T, 2>(to, from, to.len() - 2);
        }
        4..8 => {
            block::<T, 4>(to, from, 0);
            block::<T, 4>(to, from, to.len() - 4);
        }
        8..16 => {
            block::<T, 8>(to, from, 0);
            block::<T, 8>(to, from, to.len() - 8);
        }
        len => {
            block::<T, 16>(to, from, 0);
            if len > 32 {
                block::<T, 16>(to, from, 16);
            }
            if len > 48 {
                block::<T, 16>(to, from, 32);
            }
            block::<T, 16>(to, from, len - 16);
        }
    }
}

/// Copies the first of every `S` elements. Not inlined: the loop is vectorised only if the compiler
/// sees that the slices do not overlap.
#[inline(never)]
fn copy_every<T: Copy, const S: usize>(to: &mut [T], from: &[[T; S]]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from[0];
    }
}
