//! Every layer and the loss, forward and backward, against PyTorch in float64.

mod common;

use common::golden::{check, check_in};
use conv::Algorithm;
use im2col::{Padding, Window};
use net::{SoftmaxCrossEntropy, layers};
use tensor4::Tensor4;
use testkit::{Golden, assert_close};

const TOLERANCE: f64 = 1e-12;

#[test]
fn activations() {
    let golden = Golden::load("activations");
    assert_eq!(golden.cases(), ["leaky_relu", "leaky_relu_steep", "relu", "sigmoid", "tanh"]);
    // Its edges are numbers that f32 has not.
    check_in::<f64>(&golden, "relu", layers::relu(), 0.0, 0.0);
    check(&golden, "sigmoid", &layers::sigmoid(), false);
    check(&golden, "tanh", &layers::tanh(), false);
    for case in ["leaky_relu", "leaky_relu_steep"] {
        let slope = golden.scalar(&format!("{case}.slope"));
        check(&golden, case, &layers::leaky_relu(slope), true);
    }
}

#[test]
fn affine() {
    let golden = Golden::load("affine");
    let cases = golden.cases();
    assert_eq!(cases, ["a00", "a01", "a02"]);
    for case in &cases {
        let dims = golden.dims(&format!("{case}.w"));
        check(&golden, case, &layers::affine(dims[0]).in_features(dims[1]), false);
    }
}

#[test]
fn conv2d() {
    let golden = Golden::load("conv2d");
    let cases = golden.cases();
    assert_eq!(cases.len(), 19, "{cases:?}");
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
            check(&golden, case, &layer, false);
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
            check(&golden, case, &layers::max_pool2d(window), true);
            max += 1;
        } else if case.starts_with("avg_without_pad_") {
            check(&golden, case, &layers::avg_pool2d(window).count_include_pad(false), false);
            avg_without_pad += 1;
        } else {
            assert!(case.starts_with("avg_"), "{case}");
            check(&golden, case, &layers::avg_pool2d(window), false);
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
