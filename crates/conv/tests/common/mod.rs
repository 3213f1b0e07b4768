//! What the tests of this crate share: random and large convolutions, and one way to run them.

// Each test file is a program of its own and uses its part of this.
#![allow(dead_code)]

use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, ConvScalar, KernelSet, Numerics, Options, Update,
    Workspace,
};
use im2col::{Padding, Window};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use tensor4::{Tensor4, View4};
use testkit::{cases, tensor, values};

/// A batch and a convolution that fits it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) n: usize,
    pub(crate) conv: Conv2d,
    pub(crate) seed: u64,
}

/// The tensors that go in.
#[derive(Debug, Clone)]
pub(crate) struct Inputs<T> {
    pub(crate) x: Tensor4<T>,
    pub(crate) w: Tensor4<T>,
    pub(crate) bias: Vec<T>,
    pub(crate) dy: Tensor4<T>,
}

/// The tensors that come out.
#[derive(Debug, Clone)]
pub(crate) struct Outputs<T> {
    pub(crate) y: Tensor4<T>,
    pub(crate) dx: Tensor4<T>,
    pub(crate) dw: Tensor4<T>,
    pub(crate) db: Vec<T>,
}

impl Case {
    pub(crate) const fn new(n: usize, conv: Conv2d) -> Self {
        Self { n, conv, seed: 7 }
    }

    pub(crate) fn plan(&self, algorithm: Algorithm) -> Conv2dPlan {
        plan(self.conv, algorithm)
    }

    /// Seeded, all values in [-1, 1).
    pub(crate) fn inputs<T: ConvScalar>(&self) -> Inputs<T> {
        let plan = self.plan(Algorithm::Naive);
        let (x, y) = (plan.input_shape(self.n).unwrap(), plan.output_shape(self.n).unwrap());
        Inputs {
            x: tensor(x, self.seed),
            w: tensor(plan.weight_shape(), self.seed ^ 1),
            bias: values(self.conv.out_channels, self.seed ^ 2),
            dy: tensor(y, self.seed ^ 3),
        }
    }

    /// How many products each element of `[y, dx, dw, db]` sums, at most.
    pub(crate) fn terms(&self) -> [usize; 4] {
        let plan = self.plan(Algorithm::Naive);
        let g = plan.group_geometry();
        let taps = self.conv.window.kernel_h * self.conv.window.kernel_w;
        let pixels = self.n * g.out_plane_len();
        [g.patch_len() + 1, self.conv.out_channels / self.conv.groups * taps, pixels, pixels]
    }
}

pub(crate) fn plan(conv: Conv2d, algorithm: Algorithm) -> Conv2dPlan {
    Conv2dPlan::new(conv, Options::with_algorithm(algorithm)).expect("the case fits")
}

/// The plan with an algorithm on the kernels of an instruction set, or `None` if the algorithm
/// does not serve the convolution.
pub(crate) fn try_plan(
    conv: Conv2d,
    algorithm: Algorithm,
    kernels: KernelSet,
) -> Option<Conv2dPlan> {
    try_options(conv, Options::with_algorithm(algorithm).kernels(kernels))
}

/// The plan with some options, or `None` if they do not serve the convolution.
pub(crate) fn try_options(conv: Conv2d, options: Options) -> Option<Conv2dPlan> {
    match Conv2dPlan::new(conv, options) {
        Err(ConvError::Unsupported { .. }) => None,
        plan => Some(plan.expect("the case fits")),
    }
}

/// Every algorithm on the kernels of an instruction set, Winograd in each of its forms.
pub(crate) fn all_options(kernels: KernelSet) -> Vec<Options> {
    let all = Algorithm::ALL.iter().map(|&algorithm| Options::with_algorithm(algorithm));
    let strict = Options::with_algorithm(Algorithm::Winograd).numerics(Numerics::Strict);
    all.chain([strict]).map(|options| options.kernels(kernels)).collect()
}

/// A kernel of 3x3 whose output is as large as its input.
pub(crate) const SAME: Window = Window::square(3).pad(1);

/// A convolution that every algorithm serves.
pub(crate) const SERVED: Conv2d = Conv2d::new(17, 12, 14, 20, SAME);

/// The plan with an algorithm that serves, on the kernels of an instruction set.
pub(crate) fn asked(conv: Conv2d, algorithm: Algorithm, set: KernelSet) -> Conv2dPlan {
    Conv2dPlan::new(conv, Options::with_algorithm(algorithm).kernels(set)).expect("it serves")
}

/// All algorithms but the choice among them.
pub(crate) fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|&algorithm| algorithm != Algorithm::Auto)
}

/// The plans of an instruction set with every algorithm that serves.
pub(crate) fn plans_on(conv: Conv2d, set: KernelSet) -> impl Iterator<Item = Conv2dPlan> {
    all_options(set).into_iter().filter_map(move |options| try_options(conv, options))
}

/// The plans with every algorithm that serves the convolution, on the kernels of every instruction
/// set of this CPU.
pub(crate) fn plans(conv: Conv2d) -> impl Iterator<Item = Conv2dPlan> {
    KernelSet::available().into_iter().flat_map(move |set| plans_on(conv, set))
}

/// Runs all three directions, into buffers that are full of NaN beforehand.
pub(crate) fn run<T: ConvScalar>(
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    workspace: &mut Workspace<T>,
) -> Outputs<T> {
    let Inputs { x, w, bias, dy } = inputs;
    let mut out = Outputs {
        y: Tensor4::full(dy.shape(), T::NAN),
        dx: Tensor4::full(x.shape(), T::NAN),
        dw: Tensor4::full(w.shape(), T::NAN),
        db: vec![T::NAN; bias.len()],
    };
    plan.forward_into(x.view(), w.view(), Some(bias), out.y.view_mut(), workspace).unwrap();
    plan.backward_data_into(w.view(), dy.view(), out.dx.view_mut(), workspace).unwrap();
    weights(plan, inputs, &mut out, Update::Overwrite, workspace);
    out
}

/// Runs `backward_weights_into` alone.
pub(crate) fn weights<T: ConvScalar>(
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    out: &mut Outputs<T>,
    update: Update,
    workspace: &mut Workspace<T>,
) {
    let (x, dy) = (inputs.x.view(), inputs.dy.view());
    let db = Some(&mut out.db[..]);
    plan.backward_weights_into(x, dy, out.dw.view_mut(), db, update, workspace).unwrap();
}

/// The forward pass without bias.
pub(crate) fn convolve<T: ConvScalar>(
    plan: &Conv2dPlan,
    x: View4<'_, T>,
    w: View4<'_, T>,
    workspace: &mut Workspace<T>,
) -> Tensor4<T> {
    plan.forward(x, w, None, workspace).unwrap()
}

/// Fails if two sums of `terms` products, each at most 1, differ by more than rounding explains.
///
/// An absolute bound: a sum that happens to fall near zero is as inexact as any other.
#[track_caller]
pub(crate) fn assert_sums<T: ConvScalar>(what: &str, actual: &[T], expected: &[T], terms: usize) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let epsilon = if T::NAME == "f32" { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let tolerance = 4.0 * epsilon * (terms + 1) as f64;
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (a - e).to_f64().abs();
        // NaN fails as well.
        assert!(error <= tolerance, "{what}: {a} instead of {e} at {i}, {error:e} > {tolerance:e}");
    }
}

/// How many times the rounding error of a sum an algorithm has forward: the transforms of Winograd
/// add and take away what is larger than the result.
pub(crate) fn slack(plan: &Conv2dPlan) -> usize {
    match (plan.algorithm(), plan.options().numerics) {
        (Algorithm::Winograd, Numerics::Fast) => 24,
        (Algorithm::Winograd, Numerics::Strict) => 4,
        _ => 1,
    }
}

/// As [`slack`], of the gradient by the data.
pub(crate) fn dx_slack(plan: &Conv2dPlan) -> usize {
    let description = plan.describe();
    let (_, of_data) = description.split_once("by the data: ").expect("it says what runs");
    match (of_data.contains("winograd"), plan.options().numerics) {
        (true, Numerics::Fast) => 24,
        (true, Numerics::Strict) => 4,
        _ => 1,
    }
}

/// As [`slack`], of the gradient by the weights.
pub(crate) fn weights_slack(plan: &Conv2dPlan) -> usize {
    match (plan.backward_weights_algorithm(), plan.options().numerics) {
        (Algorithm::Winograd, Numerics::Fast) => 24,
        (Algorithm::Winograd, Numerics::Strict) => 4,
        _ => 2,
    }
}

#[track_caller]
pub(crate) fn assert_outputs<T: ConvScalar>(
    what: &str,
    case: &Case,
    plan: &Conv2dPlan,
    actual: &Outputs<T>,
    expected: &Outputs<T>,
) {
    let [y, dx, dw, db] = case.terms();
    let what = format!("{what} {}", plan.describe());
    assert_sums(&format!("{what} y"), actual.y.data(), expected.y.data(), y * slack(plan));
    assert_sums(&format!("{what} dx"), actual.dx.data(), expected.dx.data(), dx * dx_slack(plan));
    assert_sums(
        &format!("{what} dw"),
        actual.dw.data(),
        expected.dw.data(),
        dw * weights_slack(plan),
    );
    assert_sums(&format!("{what} db"), &actual.db, &expected.db, db);
}

/// The bits of every value: -0 is not 0 here, and a NaN is equal to itself.
pub(crate) fn bits<T: ConvScalar>(out: &Outputs<T>) -> [Vec<u64>; 4] {
    // Widening a float loses nothing.
    [out.y.data(), out.dx.data(), out.dw.data(), &out.db]
        .map(|values| values.iter().map(|v| v.to_f64().to_bits()).collect())
}

/// Random convolutions: odd sizes, one pixel, one channel, strides above the kernel, padding on
/// one side, dilation, groups up to depthwise, and batches below and above the number of images
/// from which each image has a thread of its own.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![2 => Just(1_usize), 9 => 2..14_usize];
    let kernel = || prop_oneof![3 => Just(1_usize), 8 => 2..=5_usize];
    let step = || prop_oneof![3 => Just(1_usize), 2 => Just(2), 2 => 3..7_usize];
    let dilation = || prop_oneof![3 => Just(1_usize), 1 => 2..4_usize];
    let pad = || prop_oneof![2 => Just(0_usize), 2 => 1..4_usize];
    // Groups, input channels of a group, output channels of a group; now and then more than the
    // sixteen channels that one task takes.
    let groups = prop_oneof![3 => Just(1_usize), 2 => 2..5_usize];
    let group_in = prop_oneof![3 => Just(1_usize), 4 => 2..5_usize, 1 => 17..20_usize];
    let group_out = prop_oneof![2 => Just(1_usize), 4 => 2..5_usize, 1 => 17..20_usize];
    let channels = (groups, group_in, group_out);
    let padding = (pad(), pad(), pad(), pad());
    let window = (kernel(), kernel(), step(), step(), dilation(), dilation(), padding);
    (1..=11_usize, channels, size(), size(), window, any::<u64>()).prop_filter_map(
        "the kernel does not fit",
        |(n, (groups, group_in, group_out), h, w, window, seed)| {
            let (kh, kw, sh, sw, dh, dw, (top, left, bottom, right)) = window;
            let padding = Padding { top, left, bottom, right };
            let window = Window::new(kh, kw).strides(sh, sw).dilations(dh, dw).padding(padding);
            let conv = Conv2d::new(group_in * groups, h, w, group_out * groups, window);
            let conv = conv.groups(groups);
            Conv2dPlan::new(conv, Options::default()).ok().map(|_| Case { n, conv, seed })
        },
    )
}

/// Convolutions with more pixels and channels than a tile has; many of 3x3.
pub(crate) fn wide_case() -> impl Strategy<Value = Case> {
    let kernel = prop_oneof![
        4 => Just((3_usize, 3_usize)),
        1 => Just((1, 1)),
        1 => Just((5, 5)),
        2 => (1..=5_usize, 1..=7_usize),
    ];
    let plain = Just((1_usize, 1_usize, 1_usize, 1_usize));
    let twice = Just((2_usize, 2_usize, 1_usize, 1_usize));
    let step =
        prop_oneof![3 => plain, 1 => twice, 2 => (1..4_usize, 1..4_usize, 1..3_usize, 1..3_usize)];
    let pad = prop_oneof![2 => Just(0_usize), 2 => Just(1), 1 => 2..4_usize];
    let padding = [pad.clone(), pad.clone(), pad.clone(), pad];
    let channels = prop_oneof![
        3 => (Just(1_usize), 1..6_usize, 1..40_usize),
        2 => (Just(1_usize), 6..35_usize, 1..20_usize),
        2 => (2..5_usize, 1..6_usize, 1..20_usize),
        2 => (3..20_usize, Just(1_usize), 1..3_usize),
        1 => (1..3_usize, 60..140_usize, 15..40_usize),
    ];
    let size = (1..24_usize, prop_oneof![1..24_usize, 24..80_usize]);
    (1..=3_usize, channels, size, kernel, step, padding, any::<u64>()).prop_filter_map(
        "the kernel does not fit",
        |(n, (groups, group_in, group_out), (h, w), (kh, kw), (sh, sw, dh, dw), padding, seed)| {
            let [top, left, bottom, right] = padding;
            let padding = Padding { top, left, bottom, right };
            let window = Window::new(kh, kw).strides(sh, sw).dilations(dh, dw).padding(padding);
            let conv = Conv2d::new(group_in * groups, h, w, group_out * groups, window);
            let conv = conv.groups(groups);
            Conv2dPlan::new(conv, Options::default()).ok().map(|_| Case { n, conv, seed })
        },
    )
}

/// Cases too large to be drawn at random, each for a path of its own.
pub(crate) fn large_cases() -> Vec<(&'static str, Case)> {
    let same = Window::square(3).pad(1);
    vec![
        ("one image, several chunks of rows", Case::new(1, Conv2d::new(64, 29, 30, 20, same))),
        ("nine images, several chunks of rows", Case::new(9, Conv2d::new(40, 31, 33, 2, same))),
        (
            "two groups, several chunks of rows",
            Case::new(1, Conv2d::new(80, 37, 33, 6, same).groups(2)),
        ),
        (
            "many images, stride 2",
            Case::new(17, Conv2d::new(3, 15, 17, 33, Window::square(5).stride(2).pad(2))),
        ),
        ("one tap, several bands", Case::new(3, Conv2d::new(130, 29, 31, 40, Window::new(1, 1)))),
        (
            "one tap, stride 2, several bands",
            Case::new(2, Conv2d::new(200, 47, 33, 21, Window::new(1, 1).stride(2))),
        ),
        (
            "the window is the whole image",
            Case::new(33, Conv2d::new(16, 5, 5, 40, Window::square(5))),
        ),
        // dw has 2^20 < 1050624 elements: three partial sums fit, not eight.
        ("three partial sums of dw", Case::new(9, Conv2d::new(513, 2, 1, 2048, Window::new(1, 1)))),
        // dw has more than 2^21 elements: no two partial sums fit.
        ("no partial sums of dw", Case::new(8, Conv2d::new(1025, 1, 1, 2048, Window::new(1, 1)))),
    ]
}

/// The same cases in every run: more of them, if the environment variable `PROPTEST_CASES` says so.
pub(crate) fn seeded() -> ProptestConfig {
    ProptestConfig {
        cases: cases(128),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs random convolutions until each algorithm but the naive one has run `cases` of them on each set; fails
/// if too few serve one.
///
/// `prepare` makes what all plans of a convolution are compared with, or `None` to leave it out.
pub(crate) fn on_every_set<P>(
    cases: usize,
    prepare: impl FnMut(&Case) -> Option<P>,
    check: impl FnMut(&Case, &P, &Conv2dPlan),
) {
    on_every_set_of(wide_case(), cases, prepare, check);
}

/// As [`on_every_set`], of convolutions of one kind.
pub(crate) fn on_every_set_of<P>(
    kind: impl Strategy<Value = Case>,
    cases: usize,
    mut prepare: impl FnMut(&Case) -> Option<P>,
    mut check: impl FnMut(&Case, &P, &Conv2dPlan),
) {
    let mut runner = TestRunner::new(seeded());
    let wanted: Vec<_> = KernelSet::available()
        .into_iter()
        .flat_map(all_options)
        .filter(|options| options.algorithm != Algorithm::Naive)
        .collect();
    let mut ran = vec![0; wanted.len()];
    // Enough even for an algorithm that serves few of them, where only one case is asked for.
    for _ in 0..10 * cases + 500 {
        if ran.iter().all(|&ran| ran >= cases) {
            break;
        }
        let case = kind.new_tree(&mut runner).expect("most cases fit").current();
        let Some(prepared) = prepare(&case) else { continue };
        for (&options, ran) in wanted.iter().zip(&mut ran).filter(|(_, ran)| **ran < cases) {
            let Some(plan) = try_options(case.conv, options) else { continue };
            *ran += 1;
            check(&case, &prepared, &plan);
        }
    }
    for (options, &ran) in wanted.iter().zip(&ran) {
        assert!(ran >= cases, "{options:?} ran {ran} times");
    }
}

/// The pooled pixels, and which of the four each is.
pub(crate) type Pooled<T> = (Vec<T>, Vec<u8>);

/// The pool as it is defined.
pub(crate) fn naive_pool<T: ConvScalar>(x: View4<'_, T>) -> Pooled<T> {
    let [n, c, h, w] = x.dims();
    let mut pooled = (Vec::new(), Vec::new());
    for plane in (0..n * c).map(|i| x.plane(i / c, i % c)) {
        for (row, col) in (0..h / 2).flat_map(|row| (0..w / 2).map(move |col| (row, col))) {
            let pixel = |i: usize| plane[(2 * row + i / 2) * w + 2 * col + i % 2];
            let (mut max, mut argmax) = (pixel(0), 0);
            for i in 1..4 {
                if pixel(i) > max || (pixel(i).is_nan() && !max.is_nan()) {
                    (max, argmax) = (pixel(i), i);
                }
            }
            pooled.0.push(max);
            pooled.1.push(argmax as u8);
        }
    }
    pooled
}
