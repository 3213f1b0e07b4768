//! After the first call with a plan, none allocates: forward, or for a gradient.
//!
//! One test alone: the counter counts for the whole process.

mod common;

use std::alloc::System;

use common::{Case, all_options, large_cases, run, try_options};
use conv::{Algorithm, Backward, Conv2d, Epilogue, KernelSet, Update, Workspace};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tensor4::{Tensor4, ViewMut4};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

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
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let mut ran = 0;
    for (name, case) in cases {
        let inputs = case.inputs::<f32>();
        for options in all_options(KernelSet::available()[0]) {
            let Some(plan) = try_options(case.conv, options) else { continue };
            if plan.algorithm() == Algorithm::Naive {
                continue; // It has no workspace.
            }
            let mut workspace = Workspace::new();
            let mut y = Tensor4::zeros(inputs.dy.shape());
            let mut dx = Tensor4::zeros(inputs.x.shape());
            let (mut pooled, mut argmax) = (vec![0.0; inputs.dy.len()], vec![0; inputs.dy.len()]);
            let packed = plan.pack_weights(inputs.w.view()).expect("it fits");
            pool.install(|| {
                // The gradients as well: they share the workspace.
                run(&plan, &inputs, &mut workspace);
                let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
                let (mut dw, mut db) =
                    (Tensor4::zeros(inputs.w.shape()), vec![0.0; inputs.bias.len()]);
                let mut calls = || {
                    // The baseline's products allocate.
                    if plan.backward_weights_algorithm() != Algorithm::Im2colGemm {
                        let (dw, db, update) =
                            (dw.view_mut(), Some(&mut db[..]), Update::default());
                        let dy = inputs.dy.view();
                        plan.backward_weights_into(x, dy, dw, db, update, &mut workspace)
                            .expect("it fits");
                    }
                    plan.forward_into(x, w, bias, y.view_mut(), &mut workspace).expect("it fits");
                    // Folding columns is the baseline: its products come from elsewhere.
                    if plan.backward_data_algorithm() != Algorithm::Im2colGemm {
                        plan.backward_data_into(w, inputs.dy.view(), dx.view_mut(), &mut workspace)
                            .expect("it fits");
                    }
                    let baseline = Algorithm::Im2colGemm;
                    let ways = [plan.backward_weights_algorithm(), plan.backward_data_algorithm()];
                    if !ways.contains(&baseline) {
                        let (dy, update) = (inputs.dy.view(), Update::default());
                        // Any tensor of its shape will do for the output of the ReLU.
                        let given = Backward { x, w, dy, relu: Some(dy), update };
                        let (dx, dw, db) = (dx.view_mut(), dw.view_mut(), Some(&mut db[..]));
                        plan.backward_into(&given, Some(dx), dw, db, &mut workspace)
                            .expect("it fits");
                    }
                    let (y, relu) = (y.view_mut(), Epilogue::Relu);
                    plan.forward_packed_into(x, &packed, bias, relu, y, &mut workspace)
                        .expect("it fits");
                    let Ok(shape) = plan.pooled_shape(case.n) else { return };
                    let (y, argmax) = (&mut pooled[..shape.len()], &mut argmax[..shape.len()]);
                    let y = ViewMut4::new(shape, y).expect("it fits");
                    plan.forward_relu_pool_into(x, w, bias, y, Some(argmax), &mut workspace)
                        .expect("it fits");
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
                ran += 1;
            });
        }
    }
    assert!(ran > 24, "only {ran} plans");
}
