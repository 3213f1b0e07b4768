//! Every algorithm on the kernels of every instruction set of this CPU, against the naive
//! convolution in f64: shapes that fill tiles and registers, and such that just don't.

mod common;

use std::collections::BTreeMap;

use common::{Case, seeded, slack, try_plan};
use conv::{Algorithm, Conv2d, Conv2dPlan, Epilogue, KernelSet, Options, Workspace};
use im2col::{Padding, Window};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tensor4::Tensor4;
use testkit::relative_rms;

/// How many random convolutions each algorithm runs on each set.
const CASES: usize = 500;

/// Convolutions with more pixels and channels than a tile has; many of 3x3.
fn case() -> impl Strategy<Value = Case> {
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

/// The naive result in f64 of the inputs in f32.
fn reference(case: &Case) -> Tensor4<f64> {
    let inputs = case.inputs::<f32>();
    let bias: Vec<f64> = inputs.bias.iter().map(|&b| f64::from(b)).collect();
    let (x, w) = (inputs.x.cast::<f64>(), inputs.w.cast::<f64>());
    let plan = case.plan(Algorithm::Naive);
    plan.forward(x.view(), w.view(), Some(&bias), &mut Workspace::new()).expect("it fits")
}

#[test]
fn every_algorithm_on_every_set_is_naive() {
    let mut runner = TestRunner::new(seeded());
    let wanted: Vec<_> = KernelSet::available()
        .into_iter()
        .flat_map(|set| Algorithm::ALL.iter().map(move |&algorithm| (algorithm, set)))
        .filter(|&(algorithm, _)| algorithm != Algorithm::Naive)
        .collect();
    let mut ran: BTreeMap<_, usize> = BTreeMap::new();
    let mut workspace = Workspace::new();
    let enough = |ran: &BTreeMap<_, usize>| {
        wanted.iter().all(|(a, s)| ran.get(&(a.name(), s.name())).is_some_and(|&n| n >= CASES))
    };
    for _ in 0..10 * CASES {
        if enough(&ran) {
            break;
        }
        let case = case().new_tree(&mut runner).expect("most cases fit").current();
        let inputs = case.inputs::<f32>();
        let expected = reference(&case);
        for &(algorithm, set) in &wanted {
            let Some(plan) = try_plan(case.conv, algorithm, set) else { continue };
            let runs = ran.entry((algorithm.name(), set.name())).or_default();
            if *runs >= CASES {
                continue;
            }
            *runs += 1;
            let mut y = Tensor4::full(expected.shape(), f32::NAN);
            let (x, w) = (inputs.x.view(), inputs.w.view());
            plan.forward_into(x, w, Some(&inputs.bias), y.view_mut(), &mut workspace)
                .expect("it fits");
            let error = relative_rms(y.data(), expected.data());
            // Few terms may cancel by chance; the bounds of the documentation are for many.
            let bound = 1e-6 * slack(&plan) as f64;
            assert!(error <= bound, "{error:e}: {} {case:?}", plan.describe());

            let packed = plan.pack_weights(w).expect("it fits");
            for epilogue in [Epilogue::None, Epilogue::Relu] {
                let expected: Vec<f32> = match epilogue {
                    Epilogue::Relu => y.data().iter().map(|&y| y.max(0.0)).collect(),
                    _ => y.data().to_vec(),
                };
                let mut other = Tensor4::full(y.shape(), f32::NAN);
                let bias = Some(&inputs.bias[..]);
                plan.forward_fused_into(x, w, bias, epilogue, other.view_mut(), &mut workspace)
                    .expect("it fits");
                assert_eq!(other.data(), expected, "{epilogue:?} {} {case:?}", plan.describe());
                other.fill(f32::NAN);
                plan.forward_packed_into(
                    x,
                    &packed,
                    bias,
                    epilogue,
                    other.view_mut(),
                    &mut workspace,
                )
                .expect("it fits");
                assert_eq!(other.data(), expected, "packed {} {case:?}", plan.describe());
            }
        }
    }
    assert!(enough(&ran), "not every algorithm ran {CASES} times on every set: {ran:?}");
}

/// The bounds that `Numerics` documents, at the depth that it documents.
#[test]
fn errors_stay_within_the_documented_bounds() {
    let window = Window::square(3).pad(1);
    for channels in [64, 512] {
        let case = Case::new(1, Conv2d::new(channels, 13, 14, 40, window));
        let inputs = case.inputs::<f32>();
        let expected = reference(&case);
        let mut ran = 0;
        for set in KernelSet::available() {
            for &algorithm in Algorithm::ALL {
                let Some(plan) = try_plan(case.conv, algorithm, set) else { continue };
                if algorithm == Algorithm::Naive {
                    continue; // Its sums are not fused; it promises nothing.
                }
                let y = plan
                    .forward(
                        inputs.x.view(),
                        inputs.w.view(),
                        Some(&inputs.bias),
                        &mut Workspace::new(),
                    )
                    .expect("it fits");
                let error = relative_rms(y.data(), expected.data());
                let fast = plan.algorithm() == Algorithm::Winograd;
                let bound = if fast { 4e-6 } else { 1e-6 };
                assert!(error <= bound, "{error:e}: {}", plan.describe());
                ran += 1;
            }
        }
        assert!(ran >= 4, "only {ran} plans");
    }
}
