//! Winograd's algorithm F(m x m, r x r): (m + r - 1)^2 multiplications where the direct sum takes
//! (m r)^2, a quarter of them for m = 4 and r = 3.
//!
//! Tiles of (m + r - 1) x (m + r - 1) pixels are transformed to as many points, multiplied by the
//! transformed weights point by point, and transformed back to m x m pixels of the output. Windows that
//! stride or are dilated fall into phases that do neither. Tiles are numbered through, image by image
//! and row by row, and run in blocks. Where there are many images, every
//! thread runs blocks of its own. Where there are few, all threads share a block: first they transform
//! its input, in pieces; then each takes some output channels through all that is left to do. If there
//! are few tiles besides, the weights are transformed in passing, a chunk of channels at a time that
//! stays in the cache. A small image alone is cut into rows, so that a thread reads little that another
//! has just written in the layer before: a line of the cache on its way from core to core takes a tenth
//! of a microsecond and more.
//!
//! Every output is the same sum in the same order, whatever block its tile falls into.

mod cost;
mod layout;
mod phases;
mod sharing;
mod source;
mod tiles;
mod weights;

use std::array::from_fn;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use im2col::ConvGeometry;

use crate::call::{Call, Weights, least_pieces, least_pieces_awake};
use crate::kernels::Kernels;
use crate::kernels::plane_rows::PlaneRows;
use crate::kernels::winograd::Form;
use crate::out::{Chunks, Out};
use crate::parallel::{both, pieces, tasks};
use crate::workspace::{Columns, Scratch};
use crate::{Conv2dPlan, ConvScalar, Numerics, Workspace};
pub(crate) use cost::{cost_of_all_phases, cost_of_phase, gain, tiles};
use layout::Layout;
use sharing::{BLOCK, MAX_IMAGES, Memory, OWN_TILES, SHARED_BLOCK, Sharing, is_whole};
use tiles::{MAX_TILES, Tiles};
pub(crate) use weights::{backward_weights, gradient_form, gradient_pays, gradient_workspace_len};

/// The form for a window that is exact enough, if there is one.
pub(crate) fn form(g: &ConvGeometry, numerics: Numerics) -> Option<Form> {
    let taps = phases::taps(g.window()).filter(|_| g.in_c() > 0)?;
    match numerics {
        Numerics::Fast => Form::fast(taps),
        Numerics::Strict => Form::exact(taps),
    }
}

/// Elements of the transformed weights.
pub(crate) fn packed_len<T: ConvScalar>(plan: &Conv2dPlan, kernels: &'static Kernels<T>) -> usize {
    let layout = Layout::new(plan, kernels);
    layout.groups * layout.blocks * layout.interleaved_phases() * layout.u_len()
}

/// Elements of scratch memory, for each thread and shared, of a batch of any size.
pub(crate) fn workspace_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> (usize, usize) {
    let layout = Layout::new(plan, kernels);
    let images = Memory::new(&layout, Sharing::Images(1), false);
    let steps = Memory::new(&layout, Sharing::Steps(SHARED_BLOCK), true);
    let mut own = images.own().max(steps.own());
    if is_whole(&layout) {
        let tiles = layout.tiles.min(OWN_TILES);
        own = own.max(Memory::new(&layout, Sharing::Channels(tiles), false).own());
    }
    (own, packed_len(plan, kernels) + steps.shared())
}

/// Elements that each thread needs to transform weights.
pub(crate) fn pack_scratch_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> usize {
    Layout::new(plan, kernels).filter_len()
}

/// Transforms the weights.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    u: &mut [T],
    scratch: Columns<'_, T>,
) {
    let layout = Layout::new(plan, kernels);
    let phases = layout.interleaved_phases();
    pieces(u, phases * layout.u_len(), 1, &|i, u| {
        scratch.with(|temp| {
            for chunk in 0..layout.chunks {
                let at = (i / layout.blocks, i % layout.blocks, chunk);
                let u = &mut u[chunk * layout.u_chunk()..];
                layout.transform_filter(w, at, 0..phases, (u, layout.u_len()), temp);
            }
        });
    });
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    out: Out<'_, T>,
    workspace: &mut Workspace<T>,
) {
    if out.is_empty() {
        return;
    }
    let layout = Layout::new(plan, kernels);
    let n = call.x.shape().n();
    let operations = plan.multiply_adds(n);
    let (least, awake) = (least_pieces(operations), least_pieces_awake(operations));
    let sharing = Sharing::new(&layout, call, awake < least);
    let few = matches!(sharing, Sharing::Steps(tiles) if n * layout.tiles <= tiles);
    let fused = few && matches!(call.weights, Weights::Plain(_));
    let memory = Memory::new(&layout, sharing, fused);
    let u_len = if fused { 0 } else { call.weights.scratch_len(packed_len(plan, kernels)) };
    let Scratch { columns, shared } = workspace.prepare(memory.own(), u_len + memory.shared());
    let (u, v) = shared.split_at_mut(u_len);
    let weights = match call.weights {
        Weights::Plain(w) if !fused => {
            pack(plan, kernels, w, u, columns);
            Weights::Packed(&*u)
        }
        weights => weights,
    };
    let run = Run { layout: &layout, memory: &memory, call, weights, least };
    match sharing {
        Sharing::Images(images) => run.by_images(images, out, columns),
        Sharing::Steps(tiles) => run.by_steps(tiles, n, out, columns, v),
        Sharing::Channels(tiles) => run.by_channels(tiles, out, columns),
        Sharing::Rows(rows) => run.by_rows(rows, out.into(), columns),
    }
}

/// One call of `forward`.
struct Run<'a, T: 'static> {
    layout: &'a Layout<'a, T>,
    memory: &'a Memory<'a, T>,
    call: &'a Call<'a, T>,
    weights: Weights<'a, T>,
    /// How many pieces of the work a thread takes at least.
    least: usize,
}

impl<T: ConvScalar> Run<'_, T> {
    /// How many tasks there are in a group.
    fn tasks(&self) -> usize {
        self.layout.blocks.div_ceil(self.memory.task_blocks)
    }

    /// Elements of a plane of the output.
    fn plane_len(&self) -> usize {
        self.layout.planes(self.call.pool).plane_len()
    }

    /// Elements of an image of the output.
    fn image_len(&self) -> usize {
        self.layout.groups * self.layout.group_oc * self.plane_len()
    }

    /// Elements of the planes that a task computes of an image.
    fn task_len(&self) -> usize {
        self.memory.task_blocks * self.layout.width * self.plane_len()
    }

    /// Transforms the input of some tiles, on this thread alone.
    fn transform_input(&self, group: usize, tiles: &Tiles, v: &mut [T], scratch: &mut [T]) {
        let blocking = &self.memory.blocking;
        for (piece, v) in v.chunks_exact_mut(blocking.v_piece()).enumerate() {
            blocking.transform_input(self.call.x, group, piece, tiles, v, scratch);
        }
    }

    /// Some output channels of some tiles: `y` has the planes of each image.
    fn task(
        &self,
        (group, task): (usize, usize),
        tiles: &Tiles,
        v: &[T],
        scratch: &mut [T],
        y: &mut [PlaneRows<'_, T>],
    ) {
        let first = task * self.memory.task_blocks;
        let blocks = first..(first + self.memory.task_blocks).min(self.layout.blocks);
        self.channels(group, self.layout.channels(blocks), tiles, v, scratch, y);
    }

    /// As [`task`](Self::task): channels of a group, that begin with a block or lie within one.
    fn channels(
        &self,
        group: usize,
        channels: Range<usize>,
        tiles: &Tiles,
        v: &[T],
        scratch: &mut [T],
        y: &mut [PlaneRows<'_, T>],
    ) {
        let (layout, memory) = (self.layout, self.memory);
        let (first, within) = (channels.start / layout.width, channels.start % layout.width);
        let blocks = first..channels.end.div_ceil(layout.width);
        let (own_u, rest) = scratch.split_at_mut(memory.u_len());
        let (m, temp) = rest.split_at_mut(memory.blocking.m_len());
        let before = group * layout.group_oc + channels.start;
        let bias = self.call.bias.map(|bias| &bias[before..before + channels.len()]);
        for line in 0..layout.lines() {
            let phases = line * layout.lines()..(line + 1) * layout.lines();
            for chunk in 0..layout.chunks {
                let u = match self.weights {
                    Weights::Packed(u) => {
                        let block = group * layout.blocks + first;
                        let row = block * layout.interleaved_phases() + phases.start;
                        let chunk = chunk * layout.u_chunk();
                        (&u[row * layout.u_len() + chunk + within..], layout.u_len())
                    }
                    Weights::Plain(w) => {
                        let us = own_u.chunks_exact_mut(phases.len() * layout.u_chunk());
                        for (block, u) in blocks.clone().zip(us) {
                            let (at, u) = ((group, block, chunk), (u, layout.u_chunk()));
                            layout.transform_filter(w, at, phases.clone(), u, temp);
                        }
                        (&*own_u, layout.u_chunk())
                    }
                };
                memory.blocking.multiply(v, chunk, u, m, tiles, (channels.len(), line));
            }
            let sums = (channels.len(), line);
            memory.blocking.transform_output(m, sums, tiles, (bias, self.call), y);
        }
    }

    fn by_images(&self, images: usize, out: Out<'_, T>, scratch: Columns<'_, T>) {
        let (layout, blocking) = (self.layout, &self.memory.blocking);
        let image_len = self.image_len();
        out.par_chunks(images * image_len, self.least, &|i, mut out| {
            let before = i * images;
            let end = (before + out.len() / image_len) * layout.tiles;
            scratch.with(|scratch| {
                let (v, scratch) = scratch.split_at_mut(blocking.v_len());
                let mut tiles = Tiles::new();
                for first in (before * layout.tiles..end).step_by(BLOCK) {
                    tiles.cut(layout, first..(first + BLOCK).min(end));
                    for group in 0..layout.groups {
                        self.transform_input(group, &tiles, v, scratch);
                        let skipped = tiles.images.start - before;
                        let out = out.reborrow().from(skipped * image_len);
                        let mut planes = Planes::<T, MAX_IMAGES>::new(self, out, group);
                        for task in 0..self.tasks() {
                            let mut planes = planes.next();
                            self.task((group, task), &tiles, v, scratch, &mut planes);
                        }
                    }
                }
            });
        });
    }

    fn by_channels(&self, tiles: usize, out: Out<'_, T>, scratch: Columns<'_, T>) {
        /// Rows of the product: whole tiles of sums.
        const ROWS: usize = 8;
        let (layout, blocking) = (self.layout, &self.memory.blocking);
        let share = layout.group_oc.div_ceil(rayon::current_num_threads()).next_multiple_of(ROWS);
        let share = if share > layout.width { share.next_multiple_of(layout.width) } else { share };
        let plane_len = self.plane_len();
        out.par_chunks(share * plane_len, 1, &|i, out| {
            scratch.with(|scratch| {
                let (v, scratch) = scratch.split_at_mut(blocking.v_len());
                let mut cut = Tiles::new();
                cut.cut(layout, 0..tiles);
                self.transform_input(0, &cut, v, scratch);
                let most = share.min(self.memory.task_blocks * layout.width);
                for (task, out) in out.chunks(most * plane_len).enumerate() {
                    let first = i * share + task * most;
                    let channels = first..first + out.len() / plane_len;
                    self.channels(0, channels, &cut, v, scratch, &mut [out.into()]);
                }
            });
        });
    }

    fn by_rows(&self, rows: usize, y: PlaneRows<'_, T>, scratch: Columns<'_, T>) {
        let (layout, blocking) = (self.layout, &self.memory.blocking);
        let (planes, most) =
            (layout.planes(self.call.pool), self.memory.task_blocks * layout.width);
        let part = |first: usize, mut y: PlaneRows<'_, T>| {
            scratch.with(|scratch| {
                let (v, scratch) = scratch.split_at_mut(blocking.v_len());
                let mut tiles = Tiles::new();
                let end = (first + rows).min(layout.tiles_h);
                tiles.cut(layout, first * layout.tiles_w..end * layout.tiles_w);
                self.transform_input(0, &tiles, v, scratch);
                for first in (0..layout.group_oc).step_by(most) {
                    let channels = first..(first + most).min(layout.group_oc);
                    let y = y.planes(channels.clone(), planes);
                    self.channels(0, channels, &tiles, v, scratch, &mut [y]);
                }
            });
        };
        self.halves((0, layout.tiles_h.div_ceil(rows)), rows, y, &part);
    }

    /// Calls `part` for so many parts from one on, of so many rows of tiles, with the first of them.
    fn halves(
        &self,
        (first, count): (usize, usize),
        rows: usize,
        y: PlaneRows<'_, T>,
        part: &(dyn Fn(usize, PlaneRows<'_, T>) + Sync),
    ) {
        if count == 1 {
            return part(first * rows, y);
        }
        let middle = first + count / 2;
        let row = middle * rows * self.layout.form.out();
        let [above, below] = y.split_rows(row, self.layout.planes(self.call.pool));
        both(
            || self.halves((first, middle - first), rows, above, part),
            || self.halves((middle, first + count - middle), rows, below, part),
        );
    }

    fn by_steps(
        &self,
        size: usize,
        n: usize,
        mut out: Out<'_, T>,
        scratch: Columns<'_, T>,
        v: &mut [T],
    ) {
        let (layout, blocking) = (self.layout, &self.memory.blocking);
        let image_len = self.image_len();
        let mut tiles = Tiles::new();
        let total = n * layout.tiles;
        for first in (0..total).step_by(size) {
            tiles.cut(layout, first..(first + size).min(total));
            let tiles = &tiles;
            for group in 0..layout.groups {
                pieces(v, blocking.v_piece(), self.least, &|piece, v| {
                    scratch.with(|scratch| {
                        blocking.transform_input(self.call.x, group, piece, tiles, v, scratch);
                    });
                });
                let v = &*v;
                let out = out.reborrow().from(tiles.images.start * image_len);
                let planes = Mutex::new((0, Planes::<T, MAX_TILES>::new(self, out, group)));
                // Tasks are drawn in order, each with the planes of all images that are its own.
                tasks(self.tasks(), self.least, &|_| {
                    let (task, mut planes) = {
                        let mut planes = planes.lock().unwrap_or_else(PoisonError::into_inner);
                        planes.0 += 1;
                        (planes.0 - 1, planes.1.next())
                    };
                    scratch.with(|scratch| {
                        self.task((group, task), tiles, v, scratch, &mut planes);
                    });
                });
            }
        }
    }
}

/// The planes of a group of up to `N` images, those of one task of each image at a time.
struct Planes<'y, T, const N: usize>([Chunks<'y, T>; N]);

impl<'y, T: ConvScalar, const N: usize> Planes<'y, T, N> {
    /// Of the images of `out`.
    fn new(run: &Run<'_, T>, out: Out<'y, T>, group: usize) -> Self {
        let group_len = run.layout.group_oc * run.plane_len();
        let mut images = out.chunks(run.image_len());
        Self(from_fn(|_| {
            let Some(image) = images.next() else { return Chunks::default() };
            let [_, group] = image.split_at(group * group_len);
            let [group, _] = group.split_at(group_len);
            group.chunks(run.task_len())
        }))
    }

    /// The planes of the next task, of each image.
    fn next(&mut self) -> [PlaneRows<'y, T>; N] {
        from_fn(|image| self.0[image].next().unwrap_or_default().into())
    }
}
