//! The layers beyond those of the book, and label smoothing, against PyTorch in float64.

mod common;

use common::golden::check;
use common::{Named, bits, load, one_layer, run};
use im2col::{Padding, Window};
use net::layers::PadMode;
use net::{NetScalar, SoftmaxCrossEntropy, Tape, layers};
use tensor4::Tensor4;
use testkit::{Golden, assert_close};

#[test]
fn pools_in_ceil_mode_and_over_whole_planes() {
    let golden = Golden::load("ceil_pool");
    let mut kinds = [0; 4];
    for case in &golden.cases() {
        if case.starts_with("global_") {
            check(&golden, case, &layers::global_avg_pool2d(), false);
            kinds[3] += 1;
            continue;
        }
        let geom = golden.labels(&format!("{case}.geom"));
        let [kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w] = geom[..] else {
            panic!("{case}.geom has {} numbers", geom.len())
        };
        let window = Window::new(kernel_h, kernel_w)
            .strides(stride_h, stride_w)
            .padding(Padding::symmetric(pad_h, pad_w));
        let average = layers::avg_pool2d(window).ceil_mode(true);
        if case.starts_with("max_") {
            check(&golden, case, &layers::max_pool2d(window).ceil_mode(true), true);
            kinds[0] += 1;
        } else if case.starts_with("avg_without_pad_") {
            check(&golden, case, &average.count_include_pad(false), false);
            kinds[1] += 1;
        } else {
            assert!(case.starts_with("avg_"), "{case}");
            check(&golden, case, &average, false);
            kinds[2] += 1;
        }
    }
    assert_eq!(kinds, [6, 6, 6, 2]);
}

#[test]
fn padding() {
    let golden = Golden::load("pad");
    let cases = golden.cases();
    assert_eq!(cases.len(), 12, "{cases:?}");
    for case in &cases {
        let geom = golden.labels(&format!("{case}.geom"));
        let [top, left, bottom, right] = geom[..] else { panic!("{case}: {geom:?}") };
        let mode = match case.split('_').next() {
            Some("constant") => PadMode::Constant(-1.5),
            Some("reflect") => PadMode::Reflect,
            Some("replicate") => PadMode::Replicate,
            Some("circular") => PadMode::Circular,
            _ => panic!("{case}"),
        };
        check(&golden, case, &layers::pad2d(Padding { top, left, bottom, right }, mode), true);
    }
}

#[test]
fn subsampling() {
    let golden = Golden::load("subsample");
    assert_eq!(golden.cases(), ["s00", "s01"]);
    for case in &golden.cases() {
        let geom = golden.labels(&format!("{case}.geom"));
        let [kernel_h, kernel_w, stride_h, stride_w] = geom[..] else { panic!("{case}: {geom:?}") };
        let window = Window::new(kernel_h, kernel_w).strides(stride_h, stride_w);
        check(&golden, case, &layers::subsample2d(window), false);
    }
}

#[test]
fn convolutions_with_a_table() {
    let golden = Golden::load("table_conv2d");
    assert_eq!(golden.cases(), ["t00", "t01"]);
    for case in &golden.cases() {
        let filters = golden.labels(&format!("{case}.filters"));
        let channels = golden.labels(&format!("{case}.channels"));
        let mut table = vec![Vec::new(); filters.iter().max().map_or(0, |last| last + 1)];
        for (&filter, &channel) in filters.iter().zip(&channels) {
            table[filter].push(channel);
        }
        let dims = golden.dims(&format!("{case}.w"));
        let window = Window::new(dims[1], dims[2]);
        check(&golden, case, &layers::table_conv2d(table, window), false);
    }
}

#[test]
fn local_response_normalisation() {
    let golden = Golden::load("lrn");
    let cases = golden.cases();
    assert_eq!(cases.len(), 8, "{cases:?}");
    for case in &cases {
        let settings = golden.values(&format!("{case}.settings"));
        let [size, alpha, beta, k] = settings[..] else { panic!("{case}: {settings:?}") };
        let layer = layers::local_response_norm(size as usize).alpha(alpha).beta(beta).k(k);
        check(&golden, case, &layer, false);
    }
}

#[test]
fn log_softmax() {
    let golden = Golden::load("log_softmax");
    assert_eq!(golden.cases(), ["large", "logits", "planes"]);
    for case in &golden.cases() {
        check(&golden, case, &layers::log_softmax(), false);
    }
}

fn batch_norm_in<T: NetScalar>(golden: &Golden, case: &str, tolerance: f64) {
    let name = |what: &str| format!("{case}.{what}");
    let cast = |what: &str| -> Tensor4<T> { golden.tensor(&name(what)).cast() };
    let close = |what: &str, actual: &[T]| {
        assert_close(&name(what), actual, &golden.values(&name(what)), tolerance);
    };
    let settings = golden.values(&name("settings"));
    let [eps, momentum] = settings[..] else { panic!("{case}: {settings:?}") };
    let (x, dy) = (cast("x"), cast("dy"));
    let layer = layers::batch_norm2d().eps(eps).momentum(momentum);
    let mut net = one_layer::<T>(x.shape(), layer);
    let weights = [
        ("layer.weight", "w"),
        ("layer.bias", "b"),
        ("layer.running_mean", "running_mean"),
        ("layer.running_var", "running_var"),
    ];
    let tensors = weights.map(|(ours, file)| -> Named<T> {
        (ours.to_owned(), golden.dims(&name(file)), cast(file).into_vec())
    });
    load(&mut net, &tensors);
    assert_eq!(net.parameter_count(), 2 * x.shape().c(), "{case}: statistics are not trained");

    close("eval.y", net.predict(x.view()).expect("x fits").data());

    let mut tape = Tape::new();
    let (y, dx) = run(&mut net, &x, &dy, &mut tape);
    let value = |ours: &str| net.parameter(ours).expect("named above").value().data().to_vec();
    let grad = |ours: &str| net.parameter(ours).expect("named above").grad().data().to_vec();
    close("train.y", y.data());
    close("train.dx", dx.data());
    close("train.dw", &grad("layer.weight"));
    close("train.db", &grad("layer.bias"));
    close("after.running_mean", &value("layer.running_mean"));
    close("after.running_var", &value("layer.running_var"));
    assert!(grad("layer.running_mean").iter().all(|&g| g == T::ZERO));

    // One forward pass moves the statistics once, however often a backward pass follows it.
    let moved = bits(&value("layer.running_var"));
    let again = net.backward_to_input(dy.view(), &mut tape).expect("the tape may be used again");
    assert_eq!(bits(again.data()), bits(dx.data()));
    let after = net.parameter("layer.running_var").expect("named above");
    assert_eq!(bits(after.value().data()), moved);
}

#[test]
fn batch_normalisation() {
    let golden = Golden::load("batch_norm");
    let cases = golden.cases();
    assert_eq!(cases, ["b00", "b01", "b02", "b03"]);
    for case in &cases {
        batch_norm_in::<f64>(&golden, case, 1e-11);
        batch_norm_in::<f32>(&golden, case, 2e-5);
    }
}

fn smoothed_in<T: NetScalar>(golden: &Golden, case: &str, tolerance: f64) {
    let name = |what: &str| format!("{case}.{what}");
    let logits: Tensor4<T> = golden.tensor(&name("logits")).cast();
    let labels = golden.labels(&name("labels"));
    let smoothing = golden.scalar(&name("smoothing"));
    let mut dlogits = Tensor4::full(logits.shape(), T::NAN);
    let loss = SoftmaxCrossEntropy
        .smoothed_loss(smoothing, logits.view(), &labels, Some(dlogits.view_mut()))
        .expect("a label for each image");
    assert_close(&name("loss"), &[loss.mean], &[golden.scalar(&name("loss"))], tolerance);
    assert_close(&name("dlogits"), dlogits.data(), &golden.values(&name("dlogits")), tolerance);
    if smoothing == 0.0 {
        let plain = SoftmaxCrossEntropy.loss(logits.view(), &labels, None).expect("as before");
        assert_eq!(plain, loss, "{case}");
    }
}

#[test]
fn label_smoothing() {
    let golden = Golden::load("smoothing");
    let cases = golden.cases();
    assert_eq!(cases, ["s00", "s01", "s02", "s03"]);
    for case in &cases {
        smoothed_in::<f64>(&golden, case, 1e-12);
        smoothed_in::<f32>(&golden, case, 2e-5);
    }
}
