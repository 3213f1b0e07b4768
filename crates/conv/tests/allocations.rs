//! After the first call with a plan, none allocates: forward, or for a gradient.
//!
//! One test alone: the counter counts for the whole process.

mod common;

use std::alloc::System;
use std::collections::BTreeSet;

use common::{Case, all_options, large_cases, run, try_options, weights};
use conv::{Algorithm, Backward, Conv2d, Conv2dPlan, Epilogue, KernelSet, Update, Workspace};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tensor4::ViewMut4;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The naive algorithm runs cases of at most so many products.
const MOST_NAIVE: u64 = 2_000_000;

#[test]
fn no_call_after_the_first_allocates() {
    let same = Window::square(3).pad(1);
    let mut cases = large_cases();
    cases.extend([
        ("nine images", Case::new(9, Conv2d::new(20, 21, 19, 18, same))),
        ("one image", Case::new(1, Conv2d::new(20, 21, 19, 18, same))),
        ("several stages of weights", Case::new(3, Conv2d::new(300, 5, 6, 260, same))),
        ("many channels", Case::new(2, Conv2d::new(140, 9, 9, 70, same))),
        ("a stride", Case::new(3, Conv2d::new(40, 18, 17, 50, same.stride(2)))),
        (
            "phases without taps",
            Case::new(2, Conv2d::new(7, 15, 14, 40, Window::square(1).stride(2))),
        ),
        ("depthwise", Case::new(3, Conv2d::new(18, 23, 9, 18, same).groups(18))),
    ]);
    let mut ran = BTreeSet::new();
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("few threads");
        for (name, case) in &cases {
            for options in all_options(KernelSet::available()[0]) {
                let Some(plan) = try_options(case.conv, options) else { continue };
                if plan.algorithm() == Algorithm::Naive && plan.multiply_adds(case.n) > MOST_NAIVE {
                    continue; // Slow, and none of them differs from the others.
                }
                pool.install(|| check(name, case, &plan));
                let of_data = plan.backward_data_algorithm();
                let algorithms = [plan.algorithm(), of_data, plan.backward_weights_algorithm()];
                ran.extend(algorithms.into_iter().enumerate().map(|(i, a)| (i, a.name())));
            }
        }
    }
    // Every algorithm, in every direction.
    assert_eq!(ran.len(), 3 * 5, "only {ran:?}");
}

fn check(name: &str, case: &Case, plan: &Conv2dPlan) {
    let inputs = case.inputs::<f32>();
    let mut workspace = Workspace::new();
    let mut out = run(plan, &inputs, &mut workspace);
    let (mut pooled, mut argmax) = (vec![0.0; inputs.dy.len()], vec![0; inputs.dy.len()]);
    let packed = plan.pack_weights(inputs.w.view()).expect("it fits");
    let (x, w, dy) = (inputs.x.view(), inputs.w.view(), inputs.dy.view());
    let bias = Some(&inputs.bias[..]);
    let mut calls = || {
        for update in [Update::Overwrite, Update::Accumulate] {
            weights(plan, &inputs, &mut out, update, &mut workspace);
        }
        plan.forward_into(x, w, bias, out.y.view_mut(), &mut workspace).expect("it fits");
        plan.backward_data_into(w, dy, out.dx.view_mut(), &mut workspace).expect("it fits");
        // Any tensor of its shape will do for the output of the ReLU.
        let given = Backward { x, w, dy, relu: Some(dy), update: Update::Overwrite };
        let (dx, dw) = (out.dx.view_mut(), out.dw.view_mut());
        plan.backward_into(&given, Some(dx), dw, Some(&mut out.db), &mut workspace)
            .expect("it fits");
        let (y, relu) = (out.y.view_mut(), Epilogue::Relu);
        plan.forward_packed_into(x, &packed, bias, relu, y, &mut workspace).expect("it fits");
        let Ok(shape) = plan.pooled_shape(case.n) else { return };
        let (y, argmax) = (&mut pooled[..shape.len()], &mut argmax[..shape.len()]);
        let y = ViewMut4::new(shape, y).expect("it fits");
        plan.forward_relu_pool_into(x, w, bias, y, Some(argmax), &mut workspace).expect("it fits");
    };
    calls();
    // The thread that has started the test may allocate meanwhile, but not each time.
    let changes = (0..5).map(|_| {
        let region = Region::new(ALLOCATOR);
        calls();
        region.change()
    });
    let count = |change: &Stats| change.allocations + change.reallocations;
    let fewest = changes.min_by_key(count).expect("there are some");
    assert_eq!(count(&fewest), 0, "{name}: {}: {fewest:?}", plan.describe());
}
