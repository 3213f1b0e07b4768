//! The gradient by the data as convolutions of `dy`: one, or one for each phase of a stride.
//!
//! Where Winograd's algorithm does not compute all phases at once, they are computed one after the
//! other, of as many images at a time as stay in the cache, and then put together row by row. So a row of
//! `dx` is written once, and no zeros are multiplied.

use tensor4::{View4, ViewMut4};

use crate::call::{Call, Weights};
use crate::out::Out;
use crate::parallel::pieces;
use crate::plan::{MAX_PHASES, Phases};
use crate::{Algorithm, Conv2dPlan, ConvScalar, Epilogue, Workspace};

/// About how many elements of phases are computed before they are put together: what a third-level
/// cache has room for beside `dx`.
const INTERIM_LEN: usize = 1_650_000;

/// Elements of the phases of an image.
fn image_len(plan: &Conv2dPlan, phases: &Phases) -> usize {
    let pixels: usize = phases.all().map(|phase| phases.pixels(phase)).sum();
    plan.desc().in_channels * pixels
}

/// Elements of the phases that are computed before they are put together, at most.
pub(crate) fn interim_len(plan: &Conv2dPlan, phases: &Phases) -> usize {
    match phases.stride() {
        [1, 1] => 0,
        _ => image_len(plan, phases).max(INTERIM_LEN),
    }
}

/// How many images of so many elements are computed before their phases are put together.
fn images_at_a_time(image_len: usize) -> usize {
    let (images, threads) = (INTERIM_LEN / image_len.max(1), rayon::current_num_threads());
    if images > threads { images / threads * threads } else { images.max(1) }
}

/// The gradient by the data; overwrites `dx`.
pub(crate) fn run<T: ConvScalar>(
    plan: &Conv2dPlan,
    asked: Algorithm,
    w: View4<'_, T>,
    dy: View4<'_, T>,
    dx: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    const PLANNED: &str = "the plan has made sure of its phases";
    let phases = Phases::new(plan).expect(PLANNED);
    let weights = Weights::Plain(w.data());
    let convolve = |phase, x, y: &mut [T], workspace: &mut Workspace<T>| {
        let plan = plan.phase(phases.at(phase), asked).expect(PLANNED);
        let call =
            Call { x, weights, bias: None, epilogue: Epilogue::None, pool: false, few: false };
        plan.run_vectorised(&call, Out::new(y), workspace);
    };
    let (n, dx_image_len) = (dx.shape().n(), dx.shape().image_len());
    let dx = dx.into_data();
    if phases.stride() == [1, 1] {
        return convolve([0, 0], dy, dx, workspace);
    }
    let image_len = image_len(plan, &phases);
    let images = images_at_a_time(image_len).min(n);
    workspace.with_interim(images * image_len, |interim, workspace| {
        for first in (0..n).step_by(images.max(1)) {
            let count = images.min(n - first);
            let dy = dy.batch(first..first + count).expect("there are so many images");
            let interim = &mut interim[..count * image_len];
            let mut rest = &mut *interim;
            for phase in phases.all().filter(|&phase| phases.pixels(phase) > 0) {
                let len = count * plan.desc().in_channels * phases.pixels(phase);
                let (y, others) = rest.split_at_mut(len);
                convolve(phase, dy, y, workspace);
                rest = others;
            }
            let dx = &mut dx[first * dx_image_len..][..count * dx_image_len];
            put_together(plan, &phases, interim, dx);
        }
    });
}

/// The gradient by the data under stride 2, all phases at once; overwrites `dx`.
pub(crate) fn run_all_phases<T: ConvScalar>(
    plan: &Conv2dPlan,
    w: View4<'_, T>,
    dy: View4<'_, T>,
    dx: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let plan = plan.all_phases().expect("the plan has made sure of it");
    let weights = Weights::Plain(w.data());
    let call =
        Call { x: dy, weights, bias: None, epilogue: Epilogue::None, pool: false, few: false };
    plan.run_vectorised(&call, Out::new(dx.into_data()), workspace);
}

/// Writes the planes of some images from their phases, which lie one after the other.
fn put_together<T: ConvScalar>(plan: &Conv2dPlan, phases: &Phases, interim: &[T], dx: &mut [T]) {
    let (in_h, in_w) = (plan.desc().in_h, plan.desc().in_w);
    let plane_len = in_h * in_w;
    let planes = dx.len() / plane_len;
    let [down, along] = phases.stride();
    let mut firsts = [0; MAX_PHASES];
    let mut first = 0;
    for (i, phase) in phases.all().enumerate() {
        firsts[i] = first;
        first += planes * phases.pixels(phase);
    }
    let least = (1 << 14) / plane_len + 1;
    pieces(dx, plane_len, least, &|plane, dx| {
        for (row, dx) in dx.chunks_exact_mut(in_w).enumerate() {
            let mut parts = [None; MAX_PHASES];
            for (col, part) in parts.iter_mut().enumerate().take(along) {
                let phase = [row % down, col];
                let (pixels, cols) = (phases.pixels(phase), phases.at(phase)[1].pixels);
                let first = firsts[phase[0] * along + col] + plane * pixels + row / down * cols;
                *part = (pixels > 0).then(|| &interim[first..][..cols]);
            }
            interleave(&parts[..along], dx);
        }
    });
}

/// Element `i` of part `k` goes to `row[i * parts + k]`; a part that is not there is 0.
fn interleave<T: ConvScalar>(parts: &[Option<&[T]>], row: &mut [T]) {
    match *parts {
        [Some(part)] => row.copy_from_slice(part),
        [Some(even), Some(odd)] => {
            let (pairs, rest) = row.as_chunks_mut::<2>();
            for (pair, (&even, &odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
                *pair = [even, odd];
            }
            rest.iter_mut().for_each(|last| *last = even[even.len() - 1]);
        }
        // Without filling the row first, which would write it twice.
        [Some(even), None] => {
            let (pairs, rest) = row.as_chunks_mut::<2>();
            pairs.iter_mut().zip(even).for_each(|(pair, &even)| *pair = [even, T::ZERO]);
            rest.iter_mut().for_each(|last| *last = even[even.len() - 1]);
        }
        [None, Some(odd)] => {
            let (pairs, rest) = row.as_chunks_mut::<2>();
            pairs.iter_mut().zip(odd).for_each(|(pair, &odd)| *pair = [T::ZERO, odd]);
            rest.fill(T::ZERO);
        }
        _ => {
            row.fill(T::ZERO);
            for (k, part) in parts.iter().enumerate() {
                let places = row.iter_mut().skip(k).step_by(parts.len());
                places.zip(part.unwrap_or_default()).for_each(|(to, &from)| *to = from);
            }
        }
    }
}
