//! Gradients behind a ReLU and a pool are those of a masked gradient, bit for bit.

mod common;

use common::{
    Case, Inputs, Outputs, all_options, assert_sums, bits, large_cases, on_every_set, plans, run,
    try_options, weights_slack,
};
use conv::{
    Algorithm, Backward, Conv2d, Conv2dPlan, ConvError, ConvScalar, KernelSet, Options,
    PooledGradients, Update, Workspace,
};
use im2col::Window;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor4::Tensor4;
use testkit::tensor;

/// How many random convolutions each algorithm runs on each set.
const CASES: u32 = 500;

/// What a ReLU may have put out: about half of it 0, now and then NaN, of which nobody is sure.
fn relu_output<T: ConvScalar>(inputs: &Inputs<T>, seed: u64) -> Tensor4<T> {
    let mut y =
        tensor::<T>(inputs.dy.shape(), seed ^ 9).map(|y| if y < T::ZERO { T::ZERO } else { y });
    for y in y.data_mut().iter_mut().step_by(17) {
        *y = T::NAN;
    }
    y
}

/// The inputs with what the ReLU lets through of `dy`.
fn masked<T: ConvScalar>(inputs: &Inputs<T>, y: &Tensor4<T>) -> Inputs<T> {
    let mut inputs = inputs.clone();
    for (dy, &y) in inputs.dy.data_mut().iter_mut().zip(y.data()) {
        if y <= T::ZERO {
            *dy = T::ZERO;
        }
    }
    inputs
}

/// Both gradients in one call, into buffers that are full of NaN beforehand.
fn at_once<T: ConvScalar>(
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    relu: Option<&Tensor4<T>>,
    with_dx: bool,
    workspace: &mut Workspace<T>,
) -> Outputs<T> {
    let Inputs { x, w, bias, dy } = inputs;
    let mut out = Outputs {
        y: Tensor4::zeros(dy.shape()),
        dx: Tensor4::full(x.shape(), T::NAN),
        dw: Tensor4::full(w.shape(), T::NAN),
        db: vec![T::NAN; bias.len()],
    };
    let given = Backward {
        x: x.view(),
        w: w.view(),
        dy: dy.view(),
        relu: relu.map(Tensor4::view),
        update: Update::Overwrite,
    };
    let dx = with_dx.then_some(out.dx.view_mut());
    plan.backward_into(&given, dx, out.dw.view_mut(), Some(&mut out.db), workspace).unwrap();
    out
}

#[test]
fn both_at_once_are_one_after_the_other_of_a_masked_gradient() {
    let mut workspace = Workspace::new();
    let prepare = |case: &Case| {
        let inputs = case.inputs::<f32>();
        let y = relu_output(&inputs, case.seed);
        let masked = masked(&inputs, &y);
        Some((inputs, y, masked))
    };
    let mut turn = 0;
    on_every_set(testkit::cases(CASES) as usize, prepare, |case, (inputs, y, masked), plan| {
        turn += 1;
        let (relu, with_dx) = (turn % 4 != 0, turn % 3 != 0);
        let what = format!("{} {case:?}, relu: {relu}, dx: {with_dx}", plan.describe());
        let expected = run(plan, if relu { masked } else { inputs }, &mut workspace);
        let actual = at_once(plan, inputs, relu.then_some(y), with_dx, &mut workspace);
        let [_, dx, dw, db] = bits(&actual);
        let [_, expected_dx, expected_dw, expected_db] = bits(&expected);
        assert!(!with_dx || dx == expected_dx, "dx: {what}");
        assert!(dw == expected_dw, "dw: {what}");
        assert!(db == expected_db, "db: {what}");
    });
}

#[test]
fn accumulates_in_f64_as_well() {
    let case = Case::new(2, Conv2d::new(5, 9, 8, 7, Window::square(3).pad(1)));
    let inputs = case.inputs::<f64>();
    let y = relu_output(&inputs, 1);
    let masked = masked(&inputs, &y);
    for plan in plans(case.conv) {
        let (mut workspace, mut dws) = (Workspace::new(), Vec::new());
        for one_call in [true, false] {
            let (mut dw, mut db) = (inputs.w.clone(), inputs.bias.clone());
            let (x, w, update) = (inputs.x.view(), inputs.w.view(), Update::Accumulate);
            if one_call {
                let (dy, relu) = (inputs.dy.view(), Some(y.view()));
                let given = Backward { x, w, dy, relu, update };
                plan.backward_into(&given, None, dw.view_mut(), Some(&mut db), &mut workspace)
            } else {
                let (dy, db) = (masked.dy.view(), Some(&mut db[..]));
                plan.backward_weights_into(x, dy, dw.view_mut(), db, update, &mut workspace)
            }
            .expect("it fits");
            dws.push((dw.into_vec(), db));
        }
        assert!(dws[0] == dws[1], "{}", plan.describe());
    }
}

/// Cases of which some go through the ReLU in several pieces.
fn cases() -> Vec<(&'static str, Case)> {
    let same = Window::square(3).pad(1);
    let mut cases = large_cases();
    cases.extend([
        ("large images", Case::new(7, Conv2d::new(3, 150, 151, 20, same))),
        ("many pixels", Case::new(3, Conv2d::new(34, 110, 111, 36, same))),
        ("a stride", Case::new(9, Conv2d::new(10, 81, 80, 90, same.stride(2)))),
        ("depthwise", Case::new(3, Conv2d::new(18, 23, 29, 18, same).groups(18))),
        ("two of each group", Case::new(3, Conv2d::new(18, 23, 9, 36, same).groups(18))),
    ]);
    cases
}

#[test]
fn the_number_of_threads_changes_nothing_and_the_workspace_keeps_its_limit() {
    let pools = [1, 2, 3, 8].map(|threads| {
        ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads")
    });
    for (name, case) in cases() {
        let inputs = case.inputs::<f32>();
        let y = relu_output(&inputs, case.seed);
        for options in all_options(KernelSet::available()[0]) {
            let Some(plan) = try_options(case.conv, options) else { continue };
            if plan.algorithm() == Algorithm::Naive {
                continue; // Slow, and it knows no threads.
            }
            let mut first = None;
            for pool in &pools {
                let mut workspace = Workspace::new();
                let (out, most) = pool.install(|| {
                    let out = at_once(&plan, &inputs, Some(&y), true, &mut workspace);
                    (bits(&out), plan.max_backward_workspace_bytes(case.n))
                });
                let threads = pool.current_num_threads();
                let what = format!("{name} on {threads} threads: {}", plan.describe());
                assert!(*first.get_or_insert_with(|| out.clone()) == out, "{what}");
                let used = workspace.bytes();
                assert!(used <= most, "{used} > {most}: {what}");
            }
        }
    }
}

#[test]
fn a_limit_to_the_workspace_is_kept() {
    let case = Case::new(2, Conv2d::new(5, 9, 8, 7, Window::square(3).pad(1)));
    let inputs = case.inputs::<f32>();
    let y = relu_output(&inputs, 1);
    let needed = case.plan(Algorithm::Direct).max_backward_workspace_bytes(case.n);
    for (max, fits) in [(needed, true), (needed - 1, false)] {
        let options = Options::with_algorithm(Algorithm::Direct).max_workspace_bytes(max);
        let plan = Conv2dPlan::new(case.conv, options).expect("each gradient fits");
        let mut dw = Tensor4::zeros(inputs.w.shape());
        let (x, w, dy) = (inputs.x.view(), inputs.w.view(), inputs.dy.view());
        let given = Backward { x, w, dy, relu: Some(y.view()), update: Update::Overwrite };
        let result = plan.backward_into(&given, None, dw.view_mut(), None, &mut Workspace::new());
        match result {
            Ok(()) => assert!(fits),
            Err(ConvError::Workspace { needed: said, .. }) => assert!(!fits && said == needed),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The gradient of the pool as it is defined.
fn naive_unpool<T: ConvScalar>(
    plan: &Conv2dPlan,
    dy: &Tensor4<T>,
    y: &Tensor4<T>,
    argmax: &[u8],
) -> Tensor4<T> {
    let [n, channels, out_h, out_w] = dy.shape().dims();
    let mut to = Tensor4::zeros(plan.output_shape(n).expect("it fits"));
    let [_, _, in_h, in_w] = to.shape().dims();
    let all = (0..n * channels * out_h * out_w)
        .filter(|&i| y.data()[i] > T::ZERO || y.data()[i].is_nan());
    for i in all {
        let (plane, row, col) = (i / (out_h * out_w), i / out_w % out_h, i % out_w);
        let place = usize::from(argmax[i]);
        let (row, col) = (2 * row + place / 2, 2 * col + place % 2);
        to.data_mut()[(plane * in_h + row) * in_w + col] = dy.data()[i];
    }
    to
}

#[test]
fn gradients_go_back_to_the_maxima() {
    let mut ran = 0;
    let prepare = |case: &Case| case.plan(Algorithm::Naive).pooled_shape(case.n).ok();
    on_every_set(100, prepare, |case, &shape, plan| {
        let dy = tensor::<f32>(shape, case.seed ^ 4);
        let inputs = case.inputs::<f32>();
        let (mut y, mut argmax) = (Tensor4::zeros(shape), vec![0; shape.len()]);
        let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
        let (out, places) = (y.view_mut(), Some(&mut argmax[..]));
        plan.forward_relu_pool_into(x, w, bias, out, places, &mut Workspace::new())
            .expect("it fits");
        if let Some(y) = y.data_mut().first_mut() {
            *y = f32::NAN;
        }
        let mut to = Tensor4::full(inputs.dy.shape(), f32::NAN);
        plan.backward_relu_pool_into(dy.view(), y.view(), &argmax, to.view_mut()).expect("it fits");
        let expected = naive_unpool(plan, &dy, &y, &argmax);
        assert!(to.data() == expected.data(), "{} {case:?}", plan.describe());
        ran += usize::from(!shape.is_empty());
    });
    assert!(ran > 100, "only {ran} had pixels");
}

/// The gradients by weights and bias straight from those of a pool, and by the naive sum.
fn assert_pooled<T: ConvScalar>(case: &Case, plan: &Conv2dPlan, three: &ThreadPool) {
    let Ok(shape) = plan.pooled_shape(case.n) else { return };
    let (inputs, dy) = (case.inputs::<T>(), tensor::<T>(shape, case.seed ^ 4));
    let (mut y, mut argmax) = (Tensor4::zeros(shape), vec![0; shape.len()]);
    let (x, w, bias) = (inputs.x.view(), inputs.w.view(), Some(&inputs.bias[..]));
    let (out, places, workspace) = (y.view_mut(), Some(&mut argmax[..]), &mut Workspace::new());
    plan.forward_relu_pool_into(x, w, bias, out, places, workspace).expect("it fits");
    if let Some(y) = y.data_mut().first_mut() {
        *y = T::NAN;
    }
    let unpooled = Inputs { dy: naive_unpool(plan, &dy, &y, &argmax), ..inputs.clone() };
    let expected = run(&case.plan(Algorithm::Naive), &unpooled, &mut Workspace::new());
    let mut out = [Tensor4::full(w.shape(), T::NAN), Tensor4::full(w.shape(), T::NAN)];
    let mut db = vec![T::NAN; inputs.bias.len()];
    for update in [Update::Overwrite, Update::Accumulate] {
        let given = PooledGradients { x, dy: dy.view(), y: y.view(), argmax: &argmax, update };
        let (dw, to) = (out[0].view_mut(), Some(&mut db[..]));
        plan.backward_relu_pool_weights_into(&given, dw, to, workspace).expect("it fits");
        let times = if update == Update::Overwrite { T::ONE } else { T::ONE + T::ONE };
        let what = format!("{update:?}, {} {case:?}", plan.describe());
        let terms = case.terms()[2] * weights_slack(plan) * 2;
        let [dw, expected_db] = [expected.dw.data(), &expected.db[..]]
            .map(|of| of.iter().map(|&d| d * times).collect::<Vec<_>>());
        assert_sums(&format!("dw, {what}"), out[0].data(), &dw, terms);
        assert_sums(&format!("db, {what}"), &db, &expected_db, terms);
    }
    // The bytes do not depend on the threads.
    let update = Update::Overwrite;
    let given = PooledGradients { x, dy: dy.view(), y: y.view(), argmax: &argmax, update };
    let [one, other] = &mut out;
    plan.backward_relu_pool_weights_into(&given, one.view_mut(), None, workspace).expect("it fits");
    let (to, workspace) = (other.view_mut(), &mut Workspace::new());
    three
        .install(|| plan.backward_relu_pool_weights_into(&given, to, None, workspace))
        .expect("it fits");
    assert!(one.data() == other.data(), "{} {case:?}", plan.describe());
}

#[test]
fn gradients_by_weights_come_straight_from_the_pool() {
    let three = ThreadPoolBuilder::new().num_threads(3).build().expect("a few threads");
    on_every_set(40, |_| Some(()), |case, (), plan| assert_pooled::<f32>(case, plan, &three));
    // Windows of few taps, of which there may be more than fit, with rows up to the widest and beyond.
    for (n, in_c, side, out_c, window) in [
        (1, 1, 28, 30, Window::square(5)),
        (9, 1, 9, 4, Window::square(3)),
        (3, 3, 12, 5, Window::square(3)),
        (19, 2, 10, 7, Window::square(4)),
        (2, 2, 17, 6, Window::square(4).stride(2)),
        (8, 1, 20, 1, Window::new(4, 8)),
        (5, 1, 24, 3, Window::new(1, 9)),
        (4, 32, 8, 8, Window::square(1)),
        (4, 33, 8, 8, Window::square(1)),
        (2, 7, 11, 9, Window::new(2, 2).strides(1, 3)),
        (3, 1, 14, 2, Window::square(3).pad(1)),
    ] {
        let case = Case::new(n, Conv2d::new(in_c, side, side + 1, out_c, window));
        for set in KernelSet::available() {
            let plan =
                Conv2dPlan::new(case.conv, Options::default().kernels(set)).expect("it fits");
            assert_pooled::<f32>(&case, &plan, &three);
            assert_pooled::<f64>(&case, &plan, &three);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::new(2, Conv2d::new(3, 9, 8, 4, Window::square(3).pad(1)));
    let plan = case.plan(Algorithm::Direct);
    let inputs = case.inputs::<f32>();
    let (x, w, dy) = (inputs.x.view(), inputs.w.view(), inputs.dy.view());
    let one = dy.batch(0..1).expect("there are two");
    let mut dw = Tensor4::zeros(w.shape());
    let mut dx = Tensor4::zeros(x.shape());
    let mut try_call = |relu, w, dx_images| {
        let given = Backward { x, w, dy, relu, update: Update::Overwrite };
        let shape = plan.input_shape(dx_images).expect("it fits");
        let len = shape.len();
        let dx = tensor4::ViewMut4::new(shape, &mut dx.data_mut()[..len]).expect("it fits");
        plan.backward_into(&given, Some(dx), dw.view_mut(), None, &mut Workspace::new())
    };
    assert_eq!(try_call(Some(dy), w, 2), Ok(()));
    for (relu, w, images) in [(Some(one), w, 2), (None, x, 2), (None, w, 1)] {
        let result = try_call(relu, w, images);
        assert!(matches!(result, Err(ConvError::Shape { .. })), "{result:?}");
    }

    let shape = plan.pooled_shape(2).expect("it fits");
    let pooled = Tensor4::<f32>::zeros(shape);
    let mut to = Tensor4::zeros(dy.shape());
    let (y, places) = (pooled.view(), vec![0; shape.len()]);
    let result = plan.backward_relu_pool_into(y, y, &places[1..], to.view_mut());
    assert!(matches!(result, Err(ConvError::Argmax { .. })), "{result:?}");
    let result = plan.backward_relu_pool_into(y, dy, &places, to.view_mut());
    assert!(matches!(result, Err(ConvError::Shape { .. })), "{result:?}");
    assert_eq!(plan.backward_relu_pool_into(y, y, &places, to.view_mut()), Ok(()));

    let mut straight = |x, dy, argmax, db: Option<&mut [f32]>| {
        let given = PooledGradients { x, dy, y, argmax, update: Update::Overwrite };
        plan.backward_relu_pool_weights_into(&given, dw.view_mut(), db, &mut Workspace::new())
    };
    let x = inputs.x.view();
    assert_eq!(straight(x, y, &places, Some(&mut [0.0; 4])), Ok(()));
    let result = straight(x, y, &places[1..], None);
    assert!(matches!(result, Err(ConvError::Argmax { .. })), "{result:?}");
    for (x, of_pool) in [(x, dy), (y, y)] {
        let result = straight(x, of_pool, &places, None);
        assert!(matches!(result, Err(ConvError::Shape { .. })), "{result:?}");
    }
    let result = straight(x, y, &places, Some(&mut [0.0; 5]));
    assert!(matches!(result, Err(ConvError::Bias { .. })), "{result:?}");
}
