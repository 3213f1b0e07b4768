//! Forward passes that end in a pool: images of several pieces, and what they take.

mod common;

use common::{Case, SAME, SERVED, asked, plans_on};
use conv::{Algorithm, Conv2d, Conv2dPlan, ConvError, Epilogue, KernelSet, Options, Workspace};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use tensor4::{Tensor4, View4};

/// Images of several pieces, with pixels that are not numbers and zeros of both signs.
#[test]
fn pools_of_several_images() {
    let two = ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    let images = [
        // Two planes at a time.
        (5, Conv2d::new(1, 70, 80, 3, Window::square(1))),
        (3, Conv2d::new(2, 6, 5, 4, Window::new(1, 2))),
    ];
    for set in KernelSet::available() {
        for (n, conv) in images {
            let common::Inputs { mut x, w, .. } = Case::new(n, conv).inputs::<f32>();
            for (i, x) in x.data_mut().iter_mut().enumerate() {
                match i % 23 {
                    3 => *x = f32::NAN,
                    8..15 => *x = if i % 2 == 0 { 0.0 } else { -0.0 },
                    _ => {}
                }
            }
            let bias = vec![-0.0; conv.out_channels];
            let (x, w, bias) = (x.view(), w.view(), Some(&bias[..]));
            for plan in plans_on(conv, set) {
                two.install(|| check_pool(&plan, x, w, bias));
            }
        }
    }
}

fn check_pool(plan: &Conv2dPlan, x: View4<'_, f32>, w: View4<'_, f32>, bias: Option<&[f32]>) {
    let (n, mut workspace) = (x.shape().n(), Workspace::new());
    let mut y = Tensor4::zeros(plan.output_shape(n).expect("a small one"));
    plan.forward_fused_into(x, w, bias, Epilogue::Relu, y.view_mut(), &mut workspace)
        .expect("it fits");
    let (expected, places) = common::naive_pool(y.view());
    let mut pooled = Tensor4::full(plan.pooled_shape(n).expect("a small one"), f32::NAN);
    let mut argmax = vec![9; pooled.data().len()];
    let (to, at) = (pooled.view_mut(), Some(&mut argmax[..]));
    plan.forward_relu_pool_into(x, w, bias, to, at, &mut workspace).expect("it fits");
    // All NaNs are alike.
    let bits = |v: &[f32]| -> Vec<u32> {
        v.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
    };
    assert!(expected.iter().any(|v| v.is_nan()));
    assert!(bits(pooled.data()) == bits(&expected), "{}", plan.describe());
    assert!(argmax == places, "{}", plan.describe());
}

/// An algorithm that does not pool in passing takes the output of an image for each thread besides.
#[test]
fn the_workspace_of_a_pool() {
    /// What a workspace has to align what it lends.
    const SPARE: usize = 64;
    let dilated = Conv2d::new(17, 16, 14, 20, Window::square(3).pad(1).dilation(2));
    for set in KernelSet::available() {
        for (conv, algorithm) in [
            (SERVED, Algorithm::Naive),
            (SERVED, Algorithm::Im2colGemm),
            (SERVED, Algorithm::Direct),
            (SERVED, Algorithm::Depthwise),
            (SERVED, Algorithm::Winograd),
            (dilated, Algorithm::Winograd),
            (dilated, Algorithm::Direct),
        ] {
            let plan = asked(conv, algorithm, set);
            let image = 4 * plan.output_shape(1).expect("a small one").image_len();
            for threads in [1, 3] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let [most, without] = pool
                    .install(|| [plan.max_relu_pool_workspace_bytes(), plan.max_workspace_bytes()]);
                let besides = most - without;
                let itself = match algorithm {
                    Algorithm::Im2colGemm => false,
                    Algorithm::Winograd => conv == SERVED,
                    _ => true,
                };
                let expected = if itself { 0 } else { threads * image };
                let range = expected..=expected + if itself { 0 } else { 4 * SPARE };
                assert!(
                    range.contains(&besides),
                    "{besides}, {range:?}: {threads} threads, {}",
                    plan.describe()
                );
            }
        }
    }
}

/// Images are computed before they are pooled as many at a time as there are threads, unless they are large, or the
/// limit is too low for that.
#[test]
fn large_images_are_pooled_one_by_one() {
    let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    let besides = |conv: Conv2d, limit: Option<usize>| {
        let mut options = Options::with_algorithm(Algorithm::Im2colGemm);
        options.max_workspace_bytes = limit;
        pool.install(|| {
            let plan = Conv2dPlan::new(conv, options).expect("it serves");
            (plan.max_relu_pool_workspace_bytes(), plan.max_workspace_bytes())
        })
    };
    let images = |conv: Conv2d, limit: Option<usize>| {
        let (with, without) = besides(conv, limit);
        let Conv2d { in_h, in_w, out_channels, .. } = conv;
        (with - without) / (in_h * in_w * out_channels * 4)
    };
    assert_eq!(images(SERVED, None), 3);
    let (most, _) = besides(SERVED, None);
    assert_eq!(images(SERVED, Some(most)), 3);
    assert_eq!(images(SERVED, Some(most - 1)), 1);
    // The outputs of three have a little more and a little less than 2^19 elements.
    assert_eq!(images(Conv2d::new(2, 228, 256, 3, SAME), None), 1);
    assert_eq!(images(Conv2d::new(2, 227, 256, 3, SAME), None), 3);
}

/// A limit may allow a forward pass, but not a pool at its end; one byte less than it takes is too little.
#[test]
fn a_limit_to_the_workspace_holds_for_pools() {
    let conv = Conv2d::new(2, 5, 4, 3, SAME);
    let common::Inputs { x, w, .. } = Case::new(1, conv).inputs::<f32>();
    let one = ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let pooled = |limit: Option<usize>| {
        let mut options = Options::with_algorithm(Algorithm::Im2colGemm);
        options.max_workspace_bytes = limit;
        one.install(|| {
            let plan = Conv2dPlan::new(conv, options).expect("it serves");
            let mut y = Tensor4::zeros(plan.pooled_shape(1).expect("a small one"));
            let (y, mut workspace) = (y.view_mut(), Workspace::new());
            plan.forward_relu_pool_into(x.view(), w.view(), None, y, None, &mut workspace)
                .map(|()| plan.max_relu_pool_workspace_bytes())
        })
    };
    let most = pooled(None).expect("without a limit");
    assert_eq!(pooled(Some(most)), Ok(most));
    let refused = pooled(Some(most - 1)).expect_err("too little");
    assert!(
        matches!(refused, ConvError::Workspace { needed, max, .. } if (needed, max) == (most, most - 1)),
        "{refused}"
    );
}
