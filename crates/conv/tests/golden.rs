//! Every algorithm against PyTorch, in all three directions.

mod common;

use common::{Inputs, Outputs, all_options, run, try_options, weights};
use conv::{Algorithm, Conv2d, ConvScalar, KernelSet, Options, Update, Workspace};
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

/// Returns how many cases the options serve, and how many of them have Winograd's algorithm for all
/// three directions.
fn compare<T: ConvScalar>(options: Options, tolerance: f64) -> [usize; 2] {
    let [mut ran, mut all_winograd] = [0; 2];
    let golden = Golden::load("conv2d");
    let mut workspace = Workspace::<T>::new();
    let cases = golden.cases();
    for case in &cases {
        let get = |what: &str| golden.tensor(&format!("{case}.{what}"));
        let Some(plan) = try_options(conv_of(&golden, case), options) else { continue };
        let directions =
            [plan.algorithm(), plan.backward_data_algorithm(), plan.backward_weights_algorithm()];
        ran += 1;
        all_winograd += usize::from(directions == [Algorithm::Winograd; 3]);
        let plan_name = plan.describe();
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
                let name = format!("{case}.{what}, {plan_name}, {way}");
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
        assert_close(&format!("{case}.y, {plan_name}"), &with_bias, y.data(), tolerance);

        out.dw.fill(T::ZERO);
        out.db.fill(T::ZERO);
        weights(&plan, &inputs, &mut out, Update::Accumulate, &mut workspace);
        check(&out, "accumulating onto 0");
    }
    [ran, all_winograd]
}

fn compare_all<T: ConvScalar>(tolerance: f64) {
    for options in KernelSet::available().into_iter().flat_map(all_options) {
        let [ran, all_winograd] = compare::<T>(options, tolerance);
        let (least, all) = match options.algorithm {
            Algorithm::Winograd => (6, 3),
            _ => (16, 0),
        };
        assert!(ran >= least && all_winograd >= all, "{options:?} ran {ran}, {all_winograd}");
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
