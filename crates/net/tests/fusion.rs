//! A network that runs layers in one pass gives what it gives layer by layer.

mod common;

use common::{bits, gradient_bits, parameter_bits, run};
use im2col::Window;
use net::models::{AlexNetSmall, DeepConvNet, LeNet5, SimpleConvNet};
use net::{Builder, Mode, NetScalar, Sequential, Session, Tail, Tape, layers};
use tensor4::Tensor4;
use testkit::{shape, tensor};

type Plan<T> = fn() -> Builder<T>;

fn models<T: NetScalar>() -> [(&'static str, [usize; 3], usize, Plan<T>); 6] {
    [
        ("SimpleConvNet", [1, 28, 28], 10, || SimpleConvNet::default().plan()),
        ("LeNet-5", [1, 28, 28], 10, || LeNet5::default().plan()),
        ("modern LeNet-5", [1, 28, 28], 10, || LeNet5::modern().plan()),
        ("DeepConvNet", [1, 28, 28], 10, || DeepConvNet::default().plan()),
        ("AlexNet for small images", [3, 32, 32], 10, || AlexNetSmall::default().plan()),
        ("odd sizes", [2, 11, 9], 3, odd),
    ]
}

/// Pools that drop rows and columns, pools that can't be taken over, and what changes nothing.
fn odd<T: NetScalar>() -> Builder<T> {
    let pool = Window::square(2).stride(2);
    Sequential::builder(2, 11, 9)
        .add(layers::dropout(0.2))
        .add(layers::conv2d(5, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::max_pool2d(pool))
        .add(layers::conv2d(6, Window::square(2)))
        .add(layers::relu())
        .add(layers::max_pool2d(pool.pad(1)))
        .add(layers::dropout(0.5))
        .add(layers::conv2d(7, Window::square(1)))
        .add(layers::max_pool2d(Window::square(2).stride(1)))
        .add(layers::relu())
        .add(layers::flatten())
        .add(layers::affine(8))
        .add(layers::relu())
        .add(layers::affine(3))
}

fn check<T: NetScalar>() {
    for (name, [c, h, w], classes, plan) in models::<T>() {
        let mut net = plan().build(1).expect("the layers fit");
        let mut fused = Tape::new();
        for n in [9, 1, 4] {
            let x: Tensor4<T> = tensor(shape(n, c, h, w), 2);
            let dy: Tensor4<T> = tensor(shape(n, classes, 1, 1), 3);
            let (y, dx) = run(&mut net, &x, &dy, &mut fused);
            let gradients = gradient_bits(&net);
            let (expected_y, expected_dx) = run(&mut net, &x, &dy, &mut Tape::recording());
            assert!(bits(y.data()) == bits(expected_y.data()), "{name}, {n} images: output");
            assert!(bits(dx.data()) == bits(expected_dx.data()), "{name}, {n} images: input");
            assert!(gradients == gradient_bits(&net), "{name}, {n} images: gradients");
            net.backward(dy.view(), &mut Tape::new()).expect_err("nothing ran");

            let y = net.predict(x.view()).expect("x fits");
            let mut tape = Tape::recording();
            let expected = net.forward(x.view(), &mut tape, Mode::Eval).expect("x fits");
            assert!(bits(y.data()) == bits(expected.data()), "{name}, {n} images: evaluation");
        }
    }
}

#[test]
fn layers_in_one_pass_give_the_bytes_of_layers_one_by_one() {
    check::<f32>();
    check::<f64>();
}

#[test]
fn the_table_says_what_runs_in_one_pass() {
    let net = DeepConvNet::default().build::<f32>(1).unwrap();
    let within: Vec<_> =
        net.summary().unwrap().into_iter().filter_map(|line| line.within).collect();
    let mut expected = Vec::new();
    for pair in [[1, 2], [3, 4], [5, 6]] {
        let [first, second] = pair.map(|number| format!("conv{number}"));
        expected.extend([first, second.clone(), second]);
    }
    expected.push("affine1".to_owned());
    assert_eq!(within, expected);
    assert_eq!(Tail::ReluMaxPool.layers(), 2);
}

#[test]
fn a_session_gives_the_bytes_of_the_network() {
    for (name, [c, h, w], classes, plan) in models::<f32>() {
        let net = plan().build(1).expect("the layers fit");
        let (same, weights) = (plan().build(1).expect("the layers fit"), parameter_bits(&net));
        let session = Session::new(net).expect("weights can be packed");
        std::thread::scope(|scope| {
            for n in [1, 7, 2] {
                let (session, same) = (&session, &same);
                scope.spawn(move || {
                    let x: Tensor4<f32> = tensor(shape(n, c, h, w), n as u64);
                    let expected = same.predict(x.view()).expect("x fits");
                    for _ in 0..2 {
                        let y = session.infer(x.view()).expect("x fits");
                        assert!(
                            bits(y.view().data()) == bits(expected.data()),
                            "{name}, {n} images"
                        );
                        let mut y = Tensor4::zeros(shape(n, classes, 1, 1));
                        session.infer_into(x.view(), y.view_mut()).expect("x fits");
                        assert!(bits(y.data()) == bits(expected.data()), "{name}, {n} images");
                    }
                });
            }
        });
        let x: Tensor4<f32> = tensor(shape(2, c, h + 1, w), 1);
        session.infer(x.view()).expect_err("a row too many");
        let x: Tensor4<f32> = tensor(shape(2, c, h, w), 1);
        let mut y = Tensor4::zeros(shape(1, classes, 1, 1));
        session.infer_into(x.view(), y.view_mut()).expect_err("two outputs are needed");
        assert!(parameter_bits(&session.into_network()) == weights);
    }
}
