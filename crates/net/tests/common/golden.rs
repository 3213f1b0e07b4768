//! Layers against golden files.

use net::{LayerSpec, NetScalar, Tape};
use tensor4::Tensor4;
use testkit::{Golden, assert_close};

use super::{Named, bits, gradient_bits, load, one_layer, run};

/// Runs the layer on `x` and `dy` of the case, in both precisions, and compares all that comes out.
/// The output itself must be exact in double precision if `exact` says so.
#[track_caller]
pub(crate) fn check<L>(golden: &Golden, case: &str, layer: &L, exact: bool)
where
    L: LayerSpec<f64> + LayerSpec<f32> + Clone + 'static,
{
    check_in::<f64>(golden, case, layer.clone(), if exact { 0.0 } else { 1e-12 }, 1e-12);
    check_in::<f32>(golden, case, layer.clone(), 2e-5, 2e-5);
}

/// As [`check`], in one precision.
#[track_caller]
pub(crate) fn check_in<T: NetScalar>(
    golden: &Golden,
    case: &str,
    layer: impl LayerSpec<T> + 'static,
    y_tolerance: f64,
    tolerance: f64,
) {
    let name = |what: &str| format!("{case}.{what}");
    let tensor = |what: &str| golden.tensor(&name(what));
    let cast = |what: &str| -> Tensor4<T> { tensor(what).cast() };
    let (x, y, dy) = (cast("x"), tensor("y"), cast("dy"));
    let mut net = one_layer(x.shape(), layer);
    let with_weights = net.parameters().count() == 2;
    if with_weights {
        let named = |file: &str, ours: &str| -> Named<T> {
            (ours.to_owned(), golden.dims(&name(file)), cast(file).into_vec())
        };
        load(&mut net, &[named("w", "layer.weight"), named("b", "layer.bias")]);
    }

    let mut tape = Tape::new();
    let (actual, dx) = run(&mut net, &x, &dy, &mut tape);
    assert_eq!(actual.shape(), y.shape(), "{case}");
    assert_close(&name("y"), actual.data(), y.data(), y_tolerance);
    assert_eq!(dx.shape(), x.shape(), "{case}");
    assert_close(&name("dx"), dx.data(), tensor("dx").data(), tolerance);
    if with_weights {
        for (ours, file) in [("layer.weight", "dw"), ("layer.bias", "db")] {
            let parameter = net.parameter(ours).expect("the layer has weight and bias");
            assert_eq!(parameter.dims(), golden.dims(&name(file)), "{case}.{file}");
            let expected = golden.values(&name(file));
            assert_close(&name(file), parameter.grad().data(), &expected, tolerance);
        }
    }

    // Again without the gradient by the input, over gradients that are there already.
    let before = gradient_bits(&net);
    net.backward(dy.view(), &mut tape).expect("the tape may be used again");
    assert_eq!(gradient_bits(&net), before, "{case}: gradients are overwritten");
    let predicted = net.predict(x.view()).expect("x fits");
    assert_eq!(bits(predicted.data()), bits(actual.data()), "{case}: in evaluation as in training");
}
