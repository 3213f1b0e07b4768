//! Both gradients keep to the errors that `Numerics` allows, against the naive ones in f64: those of
//! layers as networks have them, and those of random ones.

mod common;

use common::{Case, Inputs, Outputs, all_options, on_every_set, run, try_options, weights};
use conv::{Algorithm, Conv2d, Conv2dPlan, KernelSet, Numerics, Update, Workspace};
use im2col::Window;
use tensor4::Tensor4;
use testkit::relative_rms;

/// Random convolutions of each algorithm on each set.
const RANDOM: usize = 60;

/// Below this many elements, or products in each, chance decides how much of a sum cancels.
const ENOUGH: usize = 64;

/// The inputs in f32, and the naive gradients of them in f64.
struct Expected {
    inputs: Inputs<f32>,
    dx: Tensor4<f64>,
    dw: Tensor4<f64>,
}

fn expected(case: &Case) -> Expected {
    let inputs = case.inputs::<f32>();
    let wide = Inputs {
        x: inputs.x.cast::<f64>(),
        w: inputs.w.cast(),
        bias: inputs.bias.iter().map(|&b| f64::from(b)).collect(),
        dy: inputs.dy.cast(),
    };
    let Outputs { dx, dw, .. } = run(&case.plan(Algorithm::Naive), &wide, &mut Workspace::new());
    Expected { inputs, dx, dw }
}

/// `[dx, dw]`: the error that is allowed.
fn bounds(plan: &Conv2dPlan) -> [f64; 2] {
    let of_data = plan.describe();
    let (_, of_data) = of_data.split_once("by the data: ").expect("it says what runs");
    let of_weights = plan.backward_weights_algorithm();
    [of_data.contains("winograd"), of_weights == Algorithm::Winograd].map(|winograd| {
        if winograd && plan.options().numerics == Numerics::Fast { 6e-6 } else { 2e-6 }
    })
}

fn check(case: &Case, expected: &Expected, plan: &Conv2dPlan, workspace: &mut Workspace<f32>) {
    let Expected { inputs, dx, dw } = expected;
    let mut out = Outputs {
        y: Tensor4::zeros(inputs.dy.shape()),
        dx: Tensor4::full(dx.shape(), f32::NAN),
        dw: Tensor4::full(dw.shape(), f32::NAN),
        db: vec![f32::NAN; inputs.bias.len()],
    };
    plan.backward_data_into(inputs.w.view(), inputs.dy.view(), out.dx.view_mut(), workspace)
        .expect("it fits");
    weights(plan, inputs, &mut out, Update::Overwrite, workspace);
    for (what, actual, expected, bound) in
        [("dx", &out.dx, dx, bounds(plan)[0]), ("dw", &out.dw, dw, bounds(plan)[1])]
    {
        let error = relative_rms(actual.data(), expected.data());
        assert!(error <= bound, "{error:e} > {bound:e} in {what}: {} {case:?}", plan.describe());
    }
}

#[test]
fn of_layers_as_networks_have_them() {
    let same = Window::square(3).pad(1);
    let mut workspace = Workspace::new();
    for (n, conv) in [
        (3, Conv2d::new(70, 53, 50, 40, same)),
        (9, Conv2d::new(5, 14, 13, 90, same)),
        (1, Conv2d::new(256, 7, 7, 128, same)),
        (2, Conv2d::new(66, 30, 31, 34, same.dilation(2).pad(2)).groups(2)),
        (2, Conv2d::new(20, 40, 33, 24, Window::square(5).pad(2))),
        (2, Conv2d::new(64, 28, 27, 40, same.stride(2))),
        (1, Conv2d::new(3, 64, 65, 32, Window::square(7).stride(2).pad(3))),
        (1, Conv2d::new(3, 83, 83, 32, Window::square(11).stride(4))),
        (4, Conv2d::new(1, 28, 28, 30, Window::square(5))),
        (2, Conv2d::new(256, 14, 15, 64, Window::square(1))),
        (2, Conv2d::new(64, 15, 14, 96, Window::square(1).stride(2))),
        (2, Conv2d::new(40, 28, 29, 40, same).groups(40)),
    ] {
        let case = Case::new(n, conv);
        let expected = expected(&case);
        for options in KernelSet::available().into_iter().flat_map(all_options) {
            let Some(plan) = try_options(conv, options) else { continue };
            // Sums of the naive algorithm in f32 are not cut into parts; it promises nothing.
            if plan.algorithm() != Algorithm::Naive {
                check(&case, &expected, &plan, &mut workspace);
            }
        }
    }
}

#[test]
fn of_random_convolutions() {
    let mut workspace = Workspace::new();
    let prepare = |case: &Case| {
        let [_, dx, dw, _] = case.terms();
        let expected = (dx.min(dw) >= ENOUGH).then(|| expected(case))?;
        (expected.dx.len().min(expected.dw.len()) >= ENOUGH).then_some(expected)
    };
    on_every_set(RANDOM, prepare, |case, expected, plan| {
        check(case, expected, plan, &mut workspace);
    });
}
