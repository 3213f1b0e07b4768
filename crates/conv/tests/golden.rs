//! Every algorithm against PyTorch, in all three directions.

mod common;

use common::{Inputs, Outputs, run, try_plan, weights};
use conv::{Algorithm, Conv2d, ConvScalar, KernelSet, Update, Workspace};
use im2col::{Padding, Window};
use testkit::{Golden, assert_close};

fn conv_of(golden: &Golden, case: &str) -> Conv2d {
    let geom = golden.labels(&format!("{case}.geom"));
    let [sh, sw, top, left, bottom, right, dh, dw, groups] = geom[..] else {
        panic!("{case}: geom has {} values, expected 9", geom.len())
    };
    let [_, in_channels, in_h, in_w] = golden.tensor(&format!("{case}.x")).dims();
    let [out_channels, _, kernel_h, kernel_w] = golden.tensor(&format!("{case}.w")).dims();
    let window = Window::new(kernel_h, kernel_w)
        .strides(sh, sw)
        .dilations(dh, dw)
        .padding(Padding { top, left, bottom, right });
    Conv2d::new(in_channels, in_h, in_w, out_channels, window).groups(groups)
}

/// Returns how many cases the algorithm serves.
fn compare<T: ConvScalar>(algorithm: Algorithm, set: KernelSet, tolerance: f64) -> usize {
    let mut ran = 0;
    let golden = Golden::load("conv2d");
    let mut workspace = Workspace::<T>::new();
    let cases = golden.cases();
    for case in &cases {
        let get = |what: &str| golden.tensor(&format!("{case}.{what}"));
        let Some(plan) = try_plan(conv_of(&golden, case), algorithm, set) else { continue };
        ran += 1;
        assert_eq!(plan.weight_shape(), get("w").shape(), "{case}");
        let (x, y) = (get("x"), get("y"));
        assert_eq!(plan.output_shape(x.shape().n()).unwrap(), y.shape(), "{case}");
        let inputs = Inputs::<T> {
            x: x.cast(),
            w: get("w").cast(),
            bias: get("b").cast().into_vec(),
            dy: get("dy").cast(),
        };

        let check = |out: &Outputs<T>, way: &str| {
            let compare = |what: &str, actual: &[T]| {
                let name = format!("{case}.{what}, {algorithm}, {way}");
                assert_close(&name, actual, get(what).data(), tolerance);
            };
            compare("y", out.y.data());
            compare("dx", out.dx.data());
            compare("dw", out.dw.data());
            compare("db", &out.db);
        };
        let mut out = run(&plan, &inputs, &mut workspace);
        check(&out, "overwriting");

        // Without a bias, the output lacks just that.
        let bare = plan.forward(inputs.x.view(), inputs.w.view(), None, &mut workspace).unwrap();
        let plane_len = y.shape().plane_len();
        let biases = (0..).map(|i| inputs.bias[i / plane_len % inputs.bias.len()]);
        let with_bias: Vec<T> = bare.data().iter().zip(biases).map(|(&y, b)| y + b).collect();
        assert_close(&format!("{case}.y, {algorithm}"), &with_bias, y.data(), tolerance);

        out.dw.fill(T::ZERO);
        out.db.fill(T::ZERO);
        weights(&plan, &inputs, &mut out, Update::Accumulate, &mut workspace);
        check(&out, "accumulating onto 0");
    }
    ran
}

/// How many cases an algorithm serves at least.
fn least(algorithm: Algorithm) -> usize {
    if algorithm == Algorithm::Winograd { 2 } else { 11 }
}

fn compare_all<T: ConvScalar>(tolerance: f64) {
    for set in KernelSet::available() {
        for &algorithm in Algorithm::ALL {
            let ran = compare::<T>(algorithm, set, tolerance);
            assert!(ran >= least(algorithm), "{algorithm} on {set} ran {ran} cases");
        }
    }
}

#[test]
fn every_algorithm_agrees_with_pytorch_in_f64() {
    compare_all::<f64>(1e-12);
}

#[test]
fn every_algorithm_agrees_with_pytorch_in_f32() {
    compare_all::<f32>(1e-5);
}
