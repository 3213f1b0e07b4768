//! What threads that stay awake share out gives the same bytes, and ends as it should.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Case, on_every_set};
use conv::{Algorithm, Conv2d, Conv2dPlan, Epilogue, KernelSet, Options, Workspace, awake};
use im2col::Window;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor4::Tensor4;

/// How many random convolutions each algorithm runs on each set.
const CASES: usize = 60;

/// A forward pass with packed weights, and one with weights as they are that ends in a pool.
fn forward(plan: &Conv2dPlan, case: &Case, workspace: &mut Workspace<f32>) -> [Vec<u32>; 3] {
    let inputs = case.inputs::<f32>();
    let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
    let packed = plan.pack_weights(w).expect("it fits");
    let mut y = Tensor4::full(inputs.dy.shape(), f32::NAN);
    plan.forward_packed_into(x, &packed, bias, Epilogue::Relu, y.view_mut(), workspace)
        .expect("it fits");
    let bits = |y: &Tensor4<f32>| y.data().iter().map(|y| y.to_bits()).collect();
    let Ok(shape) = plan.pooled_shape(case.n) else { return [bits(&y), vec![], vec![]] };
    let [plain, again] = [false, true].map(|from_packed| {
        let (mut pooled, mut argmax) = (Tensor4::full(shape, f32::NAN), vec![9; shape.len()]);
        let (to, argmax_to) = (pooled.view_mut(), Some(&mut argmax[..]));
        if from_packed {
            plan.forward_packed_relu_pool_into(x, &packed, bias, to, argmax_to, workspace)
        } else {
            plan.forward_relu_pool_into(x, w, bias, to, argmax_to, workspace)
        }
        .expect("it fits");
        bits(&pooled).into_iter().chain(argmax.into_iter().map(u32::from)).collect()
    });
    [bits(&y), plain, again]
}

fn pools() -> [ThreadPool; 3] {
    [2, 3, 5].map(|threads| {
        ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads")
    })
}

fn same(case: &Case, plan: &Conv2dPlan, pools: &[ThreadPool]) {
    let expected = forward(plan, case, &mut Workspace::new());
    for pool in pools {
        let threads = pool.current_num_threads();
        let actual = pool.install(|| awake(|| forward(plan, case, &mut Workspace::new())));
        assert!(actual == expected, "{threads} threads, {} {case:?}", plan.describe());
    }
}

#[test]
fn nothing_depends_on_who_is_awake() {
    let pools = pools();
    on_every_set(CASES, |_| Some(()), |case, (), plan| same(case, plan, &pools));
}

#[test]
fn small_images_are_shared_out() {
    let pools = pools();
    let same_size = |size| Window::square(size).pad(size / 2);
    for (in_c, side, out_c, window) in [
        (16, 28, 16, same_size(3)),
        (17, 30, 9, same_size(3)),
        (20, 31, 20, same_size(3)),
        (32, 14, 33, Window::square(3).pad(2)),
        (70, 12, 40, same_size(3)),
        (64, 8, 64, same_size(3)),
        (40, 13, 100, same_size(5)),
        (1, 28, 30, Window::square(5)),
        (3, 40, 70, Window::square(3).stride(2)),
        (100, 14, 50, Window::square(3).stride(2).pad(1)),
    ] {
        for set in KernelSet::available() {
            let case = Case::new(1, Conv2d::new(in_c, side, side + 1, out_c, window));
            let plan =
                Conv2dPlan::new(case.conv, Options::default().kernels(set)).expect("it fits");
            same(&case, &plan, &pools);
        }
    }
}

/// An image alone has too few tiles for Winograd's algorithm; a batch does not.
#[test]
fn few_images_run_directly() {
    let conv = Conv2d::new(64, 8, 8, 64, Window::square(3).pad(1));
    for set in KernelSet::available() {
        let plan = Conv2dPlan::new(conv, Options::default().kernels(set)).expect("it fits");
        if plan.algorithm() != Algorithm::Winograd {
            continue;
        }
        let of = [1, 2, 3, 100].map(|n| plan.algorithm_of(n));
        assert_eq!(of[3], Algorithm::Winograd, "{set}");
        if set == KernelSet::Avx512 {
            assert_eq!(of[..2], [Algorithm::Direct, Algorithm::Winograd]);
        }
        for n in 1..4 {
            let case = Case::new(n, conv);
            let asked = Options::with_algorithm(plan.algorithm_of(n)).kernels(set);
            let asked = Conv2dPlan::new(conv, asked).expect("it serves");
            let [a, b] = [&plan, &asked].map(|plan| forward(plan, &case, &mut Workspace::new()));
            assert!(a == b, "{n} images on {set}");
        }
    }
}

#[test]
fn a_panic_ends_the_waiting() {
    let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("a few threads");
    let call = || pool.install(|| awake(|| assert_eq!(rayon::current_num_threads(), 0, "within")));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(pool.install(|| awake(|| awake(|| 7))), 7);
    // Outside of a pool there is nobody to wake.
    assert_eq!(awake(|| 8), 8);
}
