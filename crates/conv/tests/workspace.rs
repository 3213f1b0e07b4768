//! A limit to the workspace is kept, and what can't keep it says how much it needs.

mod common;

use std::collections::BTreeSet;

use common::{Case, all_options, large_cases, try_options};
use conv::{Algorithm, Conv2d, Conv2dPlan, ConvError, KernelSet, Options, Update, Workspace};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use tensor4::Tensor4;

fn cases() -> Vec<(&'static str, Case)> {
    let mut cases = large_cases();
    let same = Window::square(3).pad(1);
    cases.extend([
        ("nine images", Case::new(9, Conv2d::new(40, 21, 19, 48, same))),
        ("one image", Case::new(1, Conv2d::new(40, 61, 59, 48, same))),
        ("many channels", Case::new(2, Conv2d::new(140, 9, 9, 70, same))),
        ("large images", Case::new(4, Conv2d::new(70, 50, 49, 48, same))),
        ("a stride", Case::new(3, Conv2d::new(40, 28, 27, 50, same.stride(2)))),
        ("one image, a stride", Case::new(1, Conv2d::new(70, 130, 131, 5, same.stride(2)))),
        ("depthwise", Case::new(3, Conv2d::new(18, 23, 9, 18, same).groups(18))),
    ]);
    cases
}

/// The bytes that a workspace has after a forward pass.
fn used(plan: &Conv2dPlan, case: &Case) -> usize {
    let inputs = case.inputs::<f32>();
    let mut workspace = Workspace::new();
    plan.forward(inputs.x.view(), inputs.w.view(), Some(&inputs.bias), &mut workspace)
        .expect("it fits");
    workspace.bytes()
}

/// The bytes that a workspace has after a gradient by the data.
fn used_backward(plan: &Conv2dPlan, case: &Case) -> usize {
    let inputs = case.inputs::<f32>();
    let (mut workspace, mut dx) = (Workspace::new(), Tensor4::zeros(inputs.x.shape()));
    plan.backward_data_into(inputs.w.view(), inputs.dy.view(), dx.view_mut(), &mut workspace)
        .expect("it fits");
    workspace.bytes()
}

#[test]
fn no_pass_takes_more_than_its_plan_says() {
    for threads in [1, 2, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
        pool.install(|| {
            for (name, case) in cases() {
                for set in KernelSet::available() {
                    for options in all_options(set) {
                        let Some(plan) = try_options(case.conv, options) else { continue };
                        if plan.algorithm() == Algorithm::Naive {
                            continue; // Slow, and without a workspace.
                        }
                        let (used, most) = (used(&plan, &case), plan.max_workspace_bytes());
                        let what = format!("{name}, {threads} threads: {}", plan.describe());
                        assert!(used <= most, "{used} > {most}: {what}");
                        let used = used_backward(&plan, &case);
                        let most = plan.max_backward_data_workspace_bytes();
                        assert!(used <= most, "backward: {used} > {most}: {what}");
                    }
                }
            }
        });
    }
}

/// The bytes that a workspace has after the gradient by the weights.
fn used_by_weights(plan: &Conv2dPlan, case: &Case) -> usize {
    let inputs = case.inputs::<f32>();
    let (mut dw, mut db) = (Tensor4::zeros(inputs.w.shape()), vec![0.0; inputs.bias.len()]);
    let mut workspace = Workspace::new();
    let (x, dy, update) = (inputs.x.view(), inputs.dy.view(), Update::Overwrite);
    plan.backward_weights_into(x, dy, dw.view_mut(), Some(&mut db), update, &mut workspace)
        .expect("it fits");
    workspace.bytes()
}

#[test]
fn no_gradient_by_weights_takes_more_than_its_plan_says_or_the_limit_allows() {
    let mut chosen = std::collections::BTreeSet::new();
    for threads in [1, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
        pool.install(|| {
            for (name, case) in cases() {
                for limit in [0, 300_000, 3 << 20, 1 << 30] {
                    let options = Options::default().max_workspace_bytes(limit);
                    let plan = Conv2dPlan::new(case.conv, options).expect("one needs nothing");
                    let algorithm = plan.backward_weights_algorithm();
                    chosen.insert(algorithm.name());
                    if algorithm == Algorithm::Naive {
                        continue; // Slow, and without a workspace.
                    }
                    let used = used_by_weights(&plan, &case);
                    let most = plan.max_backward_weights_workspace_bytes();
                    let what = format!("{name}, {threads} threads: {algorithm}");
                    assert!(used <= most && most <= limit, "{used}, {most}, {limit}: {what}");
                }
            }
        });
    }
    assert!(chosen.len() >= 4, "only {chosen:?}");
}

#[test]
fn auto_stays_below_a_limit() {
    let (mut chosen, mut backward) = (BTreeSet::new(), BTreeSet::new());
    for (name, case) in cases() {
        for limit in [0, 10_000, 100_000, 300_000, 1 << 20, 1 << 30] {
            let options = Options::default().max_workspace_bytes(limit);
            let plan = Conv2dPlan::new(case.conv, options).expect("one algorithm needs nothing");
            let used = used(&plan, &case);
            assert!(used <= limit, "{name}: {used} > {limit}: {}", plan.describe());
            chosen.insert(plan.algorithm().name());
            let used = used_backward(&plan, &case);
            assert!(used <= limit, "{name}: backward: {used} > {limit}: {}", plan.describe());
            backward.insert(plan.backward_data_algorithm().name());
        }
    }
    assert!(backward.len() >= 4, "only {backward:?}");
    assert!(chosen.len() >= 4, "only {chosen:?}");
}

#[test]
fn an_algorithm_that_needs_more_says_how_much() {
    let conv = Conv2d::new(40, 61, 59, 48, Window::square(3).pad(1));
    for algorithm in [Algorithm::Im2colGemm, Algorithm::Direct, Algorithm::Winograd] {
        let options = Options::with_algorithm(algorithm);
        let most = Conv2dPlan::new(conv, options).expect("it fits").max_workspace_bytes();
        assert!(Conv2dPlan::new(conv, options.max_workspace_bytes(most)).is_ok());
        let error = Conv2dPlan::new(conv, options.max_workspace_bytes(most - 1)).unwrap_err();
        let ConvError::Workspace { needed, max, .. } = error else { panic!("{error}") };
        assert_eq!((needed, max), (most, most - 1));
        for part in [algorithm.name(), &most.to_string(), &(most - 1).to_string()] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

/// The baseline unfolds no more at a time than 4 MiB for each thread, whatever the layer.
#[test]
fn im2col_and_gemm_unfold_a_little_at_a_time() {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(|| {
        for (channels, size, kernel) in [(3, 227, 11), (64, 224, 3), (256, 56, 3), (512, 14, 3)] {
            let conv = Conv2d::new(channels, size, size, 64, Window::square(kernel).pad(1));
            let options = Options::with_algorithm(Algorithm::Im2colGemm);
            let plan = Conv2dPlan::new(conv, options).expect("it fits");
            let bytes = plan.max_workspace_bytes();
            assert!(bytes <= (4 << 20) + 1024, "{bytes}: {}", plan.describe());
        }
    });
}
