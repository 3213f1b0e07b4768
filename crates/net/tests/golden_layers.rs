//! Every layer and the loss, forward and backward, against PyTorch in float64.

mod common;

use common::{Named, bits, gradient_bits, load, one_layer, run};
use conv::Algorithm;
use im2col::{Padding, Window};
use net::{LayerSpec, SoftmaxCrossEntropy, Tape, layers};
use tensor4::Tensor4;
use testkit::{Golden, assert_close};

const TOLERANCE: f64 = 1e-12;

/// Runs the layer on `x` and `dy` of the case and compares all that comes out. The output itself
/// must be exact if `exact` says so.
#[track_caller]
fn check(golden: &Golden, case: &str, layer: impl LayerSpec<f64> + 'static, exact: bool) {
    let name = |what: &str| format!("{case}.{what}");
    let tensor = |what: &str| golden.tensor(&name(what));
    let (x, y, dy) = (tensor("x"), tensor("y"), tensor("dy"));
    let mut net = one_layer(x.shape(), layer);
    let with_weights = net.parameters().count() == 2;
    if with_weights {
        let named = |file: &str, ours: &str| -> Named<f64> {
            let file = name(file);
            (ours.to_owned(), golden.dims(&file), golden.values(&file))
        };
        load(&mut net, &[named("w", "layer.weight"), named("b", "layer.bias")]);
    }

    let mut tape = Tape::new();
    let (actual, dx) = run(&mut net, &x, &dy, &mut tape);
    assert_eq!(actual.shape(), y.shape(), "{case}");
    let output_tolerance = if exact { 0.0 } else { TOLERANCE };
    assert_close(&name("y"), actual.data(), y.data(), output_tolerance);
    assert_eq!(dx.shape(), x.shape(), "{case}");
    assert_close(&name("dx"), dx.data(), tensor("dx").data(), TOLERANCE);
    if with_weights {
        for (ours, file) in [("layer.weight", "dw"), ("layer.bias", "db")] {
            let parameter = net.parameter(ours).expect("the layer has weight and bias");
            assert_eq!(parameter.dims(), golden.dims(&name(file)), "{case}.{file}");
            assert_close(
                &name(file),
                parameter.grad().data(),
                &golden.values(&name(file)),
                TOLERANCE,
            );
        }
    }

    // Again without the gradient by the input, over gradients that are there already.
    let before = gradient_bits(&net);
    net.backward(dy.view(), &mut tape).expect("the tape may be used again");
    assert_eq!(gradient_bits(&net), before, "{case}: gradients are overwritten");
    let predicted = net.predict(x.view()).expect("x fits");
    assert_eq!(bits(predicted.data()), bits(actual.data()), "{case}: in evaluation as in training");
}

#[test]
fn activations() {
    let golden = Golden::load("activations");
    assert_eq!(golden.cases(), ["relu", "sigmoid", "tanh"]);
    check(&golden, "relu", layers::relu(), true);
    check(&golden, "sigmoid", layers::sigmoid(), false);
    check(&golden, "tanh", layers::tanh(), false);
}

#[test]
fn affine() {
    let golden = Golden::load("affine");
    let cases = golden.cases();
    assert_eq!(cases, ["a00", "a01", "a02"]);
    for case in &cases {
        let dims = golden.dims(&format!("{case}.w"));
        check(&golden, case, layers::affine(dims[0]).in_features(dims[1]), false);
    }
}

#[test]
fn conv2d() {
    let golden = Golden::load("conv2d");
    let cases = golden.cases();
    assert_eq!(cases.len(), 14, "{cases:?}");
    for case in &cases {
        let geom = golden.labels(&format!("{case}.geom"));
        let [stride_h, stride_w, top, left, bottom, right, dilation_h, dilation_w, groups] =
            geom[..]
        else {
            panic!("{case}.geom has {} numbers", geom.len())
        };
        let [filters, _, kernel_h, kernel_w] = golden.tensor(&format!("{case}.w")).dims();
        let window = Window::new(kernel_h, kernel_w)
            .strides(stride_h, stride_w)
            .dilations(dilation_h, dilation_w)
            .padding(Padding { top, left, bottom, right });
        for algorithm in
            [Algorithm::Auto, Algorithm::Naive, Algorithm::Im2colGemm, Algorithm::Direct]
        {
            let layer = layers::conv2d(filters, window).groups(groups).algorithm(algorithm);
            check(&golden, case, layer, false);
        }
    }
}

#[test]
fn pools() {
    let golden = Golden::load("pool");
    let cases = golden.cases();
    let (mut max, mut avg, mut avg_without_pad) = (0, 0, 0);
    for case in &cases {
        let geom = golden.labels(&format!("{case}.geom"));
        let [kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w] = geom[..] else {
            panic!("{case}.geom has {} numbers", geom.len())
        };
        let window = Window::new(kernel_h, kernel_w)
            .strides(stride_h, stride_w)
            .padding(Padding::symmetric(pad_h, pad_w));
        if case.starts_with("max_") {
            check(&golden, case, layers::max_pool2d(window), true);
            max += 1;
        } else if case.starts_with("avg_without_pad_") {
            check(&golden, case, layers::avg_pool2d(window).count_include_pad(false), false);
            avg_without_pad += 1;
        } else {
            assert!(case.starts_with("avg_"), "{case}");
            check(&golden, case, layers::avg_pool2d(window), false);
            avg += 1;
        }
    }
    assert_eq!((max, avg, avg_without_pad), (11, 11, 5), "{cases:?}");
}

#[test]
fn loss() {
    let golden = Golden::load("loss");
    let cases = golden.cases();
    assert_eq!(cases, ["equal", "large", "random", "wrong"]);
    for case in &cases {
        let name = |what: &str| format!("{case}.{what}");
        let logits = golden.tensor(&name("logits"));
        let labels = golden.labels(&name("labels"));
        let mut dlogits = Tensor4::full(logits.shape(), f64::NAN);
        let loss = SoftmaxCrossEntropy
            .loss(logits.view(), &labels, Some(dlogits.view_mut()))
            .expect("a label for each image");
        assert_close(&name("loss"), &[loss.mean], &[golden.scalar(&name("loss"))], TOLERANCE);
        assert_close(&name("dlogits"), dlogits.data(), &golden.values(&name("dlogits")), TOLERANCE);
        let probabilities = SoftmaxCrossEntropy.probabilities(logits.view());
        let expected = golden.tensor(&name("probabilities"));
        assert_close(&name("probabilities"), probabilities.data(), expected.data(), TOLERANCE);

        // Recognised is the image whose label has the largest probability, and stands first.
        let correct = labels.iter().enumerate().filter(|&(image, &label)| {
            let row = expected.image(image);
            row[..label].iter().all(|&p| p < row[label])
                && row[label..].iter().all(|&p| p <= row[label])
        });
        assert_eq!((loss.correct, loss.images), (correct.count(), labels.len()), "{case}");

        let without = SoftmaxCrossEntropy.loss(logits.view(), &labels, None).expect("as before");
        assert_eq!(without, loss, "{case}: the gradient changes nothing else");
    }
}
