//! How the transforms lie in memory, and the steps on them.

use std::ops::Range;

use im2col::ConvGeometry;

use super::phases::Phases;
use super::tiles::Tiles;
use crate::call::Call;
use crate::filters::Filters;
use crate::kernels::Kernels;
use crate::kernels::plane_rows::{PlaneLayout, PlaneRows};
use crate::kernels::winograd::{COLS, Filter, Form, Output, OutputPairs, Product};
use crate::plan::Interleaved;
use crate::{Conv2dPlan, ConvScalar};

/// Products that are summed at a time: longer sums are added up in parts, for the sake of their
/// rounding error, and a part of the weights stays in the cache.
const CHUNK: usize = 64;
/// Weights of an output channel that are packed at a time, to be transformed.
const FILTER: usize = 288;

/// The sizes of a plan on a table of kernels; one group of channels runs at a time.
pub(super) struct Layout<'a, T: 'static> {
    pub(super) kernels: &'static Kernels<T>,
    pub(super) form: Form,
    pub(super) g: &'a ConvGeometry,
    filters: Filters,
    pub(super) phases: Phases,
    /// The phases of the output, if it is a gradient that has them next to each other.
    pub(super) interleaved: Option<Interleaved>,
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) group_oc: usize,
    /// Output channels whose weights stand side by side: those of a register.
    pub(super) width: usize,
    /// So many times `width` make up a group.
    pub(super) blocks: usize,
    /// Channels of a chunk.
    pub(super) chunk: usize,
    /// Chunks that make up a group.
    pub(super) chunks: usize,
    /// Rows and columns of tiles of a phase of the output.
    pub(super) tiles_h: usize,
    pub(super) tiles_w: usize,
    /// Tiles of an image.
    pub(super) tiles: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    pub(super) fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        Self::with_form(plan, kernels, plan.winograd_form().expect("the plan has chosen it"))
    }

    /// The sizes with another form than that of the forward pass.
    pub(super) fn with_form(
        plan: &'a Conv2dPlan,
        kernels: &'static Kernels<T>,
        form: Form,
    ) -> Self {
        let g = plan.group_geometry();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let width = kernels.lanes;
        let phases = Phases::new(g.window(), form);
        let [down, along] = phases.dilation;
        let tiles_h = g.out_h().div_ceil(down).div_ceil(form.out());
        let tiles_w = g.out_w().div_ceil(along).div_ceil(form.out());
        let chunk = (CHUNK / phases.count()).clamp(1, g.in_c());
        Self {
            kernels,
            form,
            g,
            filters: Filters::new(plan),
            phases,
            interleaved: plan.interleaved(),
            groups,
            group_oc,
            width,
            blocks: group_oc.div_ceil(width),
            chunk,
            chunks: g.in_c().div_ceil(chunk),
            tiles_h,
            tiles_w,
            tiles: down * along * tiles_h * tiles_w,
        }
    }

    /// How the planes of the output lie in memory.
    pub(super) fn planes(&self, pool: bool) -> PlaneLayout {
        let [out_h, out_w] = match self.interleaved {
            Some(interleaved) => interleaved.pixels,
            None => [self.g.out_h(), self.g.out_w()],
        };
        PlaneLayout { out_h, out_w, pool }
    }

    /// Elements of a chunk of the transformed weights of `width` output channels: those of a point
    /// side by side, a row for each channel of each phase.
    pub(super) fn u_chunk(&self) -> usize {
        self.form.points() * self.u_point()
    }

    /// Elements between two points of it: a line more than a power of two, that not all points fall on
    /// the same lines of the cache.
    fn u_point(&self) -> usize {
        (self.chunk * self.phases.count() + 1) * self.width
    }

    /// Elements of the transformed weights of `width` output channels.
    pub(super) fn u_len(&self) -> usize {
        self.chunks * self.u_chunk()
    }

    /// Elements that the transform of weights needs beside its result.
    pub(super) fn filter_len(&self) -> usize {
        self.filter_channels() * self.kernel_len() * self.width
    }

    /// Channels whose weights are transformed together.
    fn filter_channels(&self) -> usize {
        (FILTER / self.kernel_len()).max(1)
    }

    /// Taps of a kernel.
    fn kernel_len(&self) -> usize {
        self.filters.taps().iter().product()
    }

    /// How many phases of the rows, and of the columns, are next to each other in the output.
    pub(super) fn lines(&self) -> usize {
        if self.interleaved.is_some() { Interleaved::STRIDE } else { 1 }
    }

    /// How many phases of the output have weights of their own.
    pub(super) fn interleaved_phases(&self) -> usize {
        self.lines() * self.lines()
    }

    /// Of the sums of some output channels, for each phase of the columns: the rows that are not 0 at a
    /// point, for a phase of the rows of the output. A polynomial without its lowest power is 0 at the
    /// point 0, one without its highest at infinity.
    fn rows(&self, point: usize, line: usize, channels: usize) -> Range<usize> {
        let Some(interleaved) = self.interleaved else { return 0..channels };
        let side = self.form.side();
        let zero = |dimension: usize, phase: usize, place: usize| {
            let [first, last] = interleaved.ends[dimension][phase];
            !first && place == 0 || !last && place + 1 == side
        };
        let [even, odd] = [0, 1].map(|phase| !zero(1, phase, point % side));
        match (!zero(0, line, point / side), even, odd) {
            (true, true, true) => 0..self.width + channels,
            (true, true, false) => 0..channels,
            (true, false, true) => self.width..self.width + channels,
            _ => 0..0,
        }
    }

    /// The output channels of some blocks of them.
    pub(super) fn channels(&self, blocks: Range<usize>) -> Range<usize> {
        blocks.start * self.width..(blocks.end * self.width).min(self.group_oc)
    }

    /// How many channels a chunk has.
    pub(super) fn chunk_len(&self, chunk: usize) -> usize {
        self.chunk.min(self.g.in_c() - chunk * self.chunk)
    }

    /// Transforms a chunk of the weights of a block of output channels of a group, for some phases of
    /// the output, whose transforms stand `u_stride` apart.
    pub(super) fn transform_filter(
        &self,
        w: &[T],
        (group, block, chunk): (usize, usize, usize),
        phases: Range<usize>,
        (u, u_stride): (&mut [T], usize),
        temp: &mut [T],
    ) {
        let out_channels = self.channels(block..block + 1);
        let (before, len) = (chunk * self.chunk, self.chunk_len(chunk));
        for first in (0..len).step_by(self.filter_channels()) {
            let count = self.filter_channels().min(len - first);
            let channels = before + first..before + first + count;
            let at = (group, out_channels.clone(), channels);
            self.filters.pack(self.kernels, w, at, self.width, temp);
            let slots = phases
                .clone()
                .flat_map(|phase| (0..self.phases.count()).map(move |slot| (phase, slot)));
            for (phase, slot) in slots {
                let (stride, first_tap) = match self.interleaved {
                    Some(interleaved) => ([Interleaved::STRIDE; 2], interleaved.first(phase)),
                    None => (self.phases.stride, self.phases.at(slot).map(|place| place as isize)),
                };
                let u = &mut u[(phase - phases.start) * u_stride..];
                self.kernels.winograd_filter(Filter {
                    form: self.form,
                    packed: temp,
                    channels: count,
                    kernel: self.filters.taps(),
                    stride,
                    phase: first_tap,
                    u: &mut u[(slot * len + first) * self.width..],
                    point_stride: self.u_point(),
                });
            }
        }
    }
}

/// How the tiles of a block and some blocks of output channels lie in memory.
///
/// The transformed input stands in pieces, one for each panel of up to [`COLS`] registers of tiles
/// and each chunk of channels: in a piece, a row for each channel of each phase, and those of a point
/// side by side. So what one product reads is contiguous.
pub(super) struct Blocking<'a, T: 'static> {
    pub(super) layout: &'a Layout<'a, T>,
    /// Registers of a panel.
    pub(super) cols: usize,
    panels: usize,
    /// Elements between two points of a piece, and between two channels.
    pub(super) v_point: usize,
    pub(super) v_channel: usize,
    /// Elements between the sums of two output channels, and of two points.
    m_row: usize,
    m_point: usize,
}

impl<'a, T: ConvScalar> Blocking<'a, T> {
    /// For so many tiles and blocks of output channels, those of each phase of the columns counted.
    pub(super) fn new(layout: &'a Layout<'a, T>, tiles: usize, blocks: usize) -> Self {
        let lanes = layout.width;
        let registers = tiles.div_ceil(lanes);
        let panels = registers.div_ceil(COLS);
        let cols = registers.div_ceil(panels);
        let m_row = registers * lanes;
        Self {
            layout,
            cols,
            panels,
            v_channel: cols * lanes,
            // A line more, as with the weights.
            v_point: layout.chunk * layout.phases.count() * cols * lanes + lanes,
            m_row,
            m_point: blocks * layout.width * m_row + lanes,
        }
    }

    /// For so many tiles, whole registers of them, that stand side by side in a single piece for each
    /// chunk; there are no sums.
    pub(super) fn side_by_side(layout: &'a Layout<'a, T>, tiles: usize) -> Self {
        Self {
            layout,
            cols: COLS,
            panels: 1,
            v_channel: tiles,
            v_point: layout.chunk * tiles + layout.width,
            m_row: 0,
            m_point: 0,
        }
    }

    /// Elements of a piece of the transformed input.
    pub(super) fn v_piece(&self) -> usize {
        self.layout.form.points() * self.v_point
    }

    /// Elements of all pieces.
    pub(super) fn v_len(&self) -> usize {
        self.panels * self.layout.chunks * self.v_piece()
    }

    /// Elements of the sums.
    pub(super) fn m_len(&self) -> usize {
        self.layout.form.points() * self.m_point
    }

    /// Adds the products of a chunk of channels to the sums of some output channels; overwrites them
    /// with those of the first chunk. The weights of the blocks stand `u_stride` apart. `line` is the
    /// phase of the rows of the output.
    pub(super) fn multiply(
        &self,
        v: &[T],
        chunk: usize,
        (u, u_stride): (&[T], usize),
        m: &mut [T],
        tiles: &Tiles,
        (channels, line): (usize, usize),
    ) {
        let layout = self.layout;
        let lanes = layout.width;
        let panels = tiles.count.div_ceil(self.cols);
        let piece = |panel: usize| (panel * layout.chunks + chunk) * self.v_piece();
        let len = layout.chunk_len(chunk);
        for point in 0..layout.form.points() {
            let slots = layout.phases.slots(layout.form, point);
            let first = slots.start * len;
            let rows = layout.rows(point, line, channels);
            if chunk == 0 {
                self.clear(&rows, (point, channels), m);
            }
            if rows.is_empty() {
                continue;
            }
            let u = &u[rows.start / layout.width * u_stride..];
            let m = &mut m[point * self.m_point + rows.start * self.m_row..];
            for panel in 0..panels {
                let next = match panel + 1 {
                    next if next < panels => piece(next) + point * self.v_point,
                    _ => piece(0) + (point + 1) * self.v_point,
                };
                layout.kernels.winograd_product(Product {
                    v: &v[piece(panel) + point * self.v_point + first * self.cols * lanes..],
                    v_stride: self.cols * lanes,
                    channels: slots.len() * len,
                    u: &u[point * layout.u_point() + first * layout.width..],
                    u_stride,
                    m: &mut m[panel * self.cols * lanes..],
                    m_stride: self.m_row,
                    accumulate: chunk > 0,
                    cols: tiles.registers(panel * self.cols, self.cols).len(),
                    rows: rows.len(),
                    next_v: v.get(next..).unwrap_or_default(),
                    next_u: layout.u_point(),
                });
            }
        }
    }

    /// Overwrites the sums at a point that no product is added to, with 0.
    fn clear(&self, rows: &Range<usize>, (point, channels): (usize, usize), m: &mut [T]) {
        let all = channels + (self.layout.lines() - 1) * self.layout.width;
        for others in [0..rows.start, rows.end..all] {
            let [from, to] =
                [others.start, others.end].map(|row| point * self.m_point + row * self.m_row);
            m[from..to].fill(T::ZERO);
        }
    }

    /// Transforms the sums of some output channels into their planes, which `y` has of each image.
    pub(super) fn transform_output(
        &self,
        m: &[T],
        (channels, line): (usize, usize),
        tiles: &Tiles,
        (bias, call): (Option<&[T]>, &Call<'_, T>),
        y: &mut [PlaneRows<'_, T>],
    ) {
        let layout = self.layout;
        if layout.interleaved.is_some() {
            debug_assert!(bias.is_none() && !call.relu() && !call.pool);
            return layout.kernels.winograd_output_pairs(OutputPairs {
                form: layout.form,
                m,
                point_stride: self.m_point,
                channel_stride: self.m_row,
                pair: layout.width * self.m_row,
                segments: &tiles.segments,
                registers: tiles.registers(0, tiles.count),
                y,
                planes: layout.planes(call.pool),
                channels,
                row: line,
            });
        }
        layout.kernels.winograd_output(Output {
            form: layout.form,
            m,
            point_stride: self.m_point,
            channel_stride: self.m_row,
            segments: &tiles.segments,
            registers: tiles.registers(0, tiles.count),
            y,
            channels,
            planes: layout.planes(call.pool),
            dilation: layout.phases.dilation,
            bias,
            relu: call.relu(),
        });
    }
}
