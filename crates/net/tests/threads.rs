//! Results are bit-identical for every number of threads.

mod common;

use std::hash::{DefaultHasher, Hasher};

use common::{bits, noise, parameter_bits};
use im2col::{Padding, Window};
use net::layers::PadMode;
use net::models::{AlexNet, DeepConvNet, LeNet5, SimpleConvNet};
use net::{Rule, Sequential, TrainOptions, Trainer, evaluate, layers};
use rayon::ThreadPoolBuilder;

/// What a short training leaves behind, in a pool of so many threads.
fn trained(threads: usize, batch_size: usize) -> (Vec<u64>, Vec<u64>) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
    pool.install(|| {
        assert_eq!(rayon::current_num_threads(), threads);
        // Large enough that every layer is cut into several tasks.
        let mut net = Sequential::<f32>::builder(2, 24, 24)
            .add(layers::pad2d(Padding::uniform(2), PadMode::Reflect))
            .add(layers::conv2d(24, Window::square(5)))
            .add(layers::leaky_relu(0.01))
            .add(layers::batch_norm2d())
            .add(layers::local_response_norm(5).alpha(0.1))
            .add(layers::max_pool2d(Window::square(2).stride(2)))
            .add(layers::conv2d(36, Window::square(3)).groups(2))
            .add(layers::tanh())
            .add(layers::subsample2d(Window::square(2)))
            .add(layers::table_conv2d(
                (0..20).map(|filter| [filter, filter + 9]),
                Window::square(2),
            ))
            .add(layers::avg_pool2d(Window::square(3).stride(2).pad(1)).ceil_mode(true))
            .add(layers::dropout(0.3))
            .add(layers::affine(90))
            .add(layers::sigmoid())
            .add(layers::affine(7))
            .add(layers::log_softmax())
            .build(1)
            .expect("the layers fit");
        let samples = noise::<f32>(2 * batch_size, [2, 24, 24], 7, 2);
        let options = TrainOptions::default().epochs(1).batch_size(batch_size).seed(3);
        let mut trainer = Trainer::new(options, Rule::adam(0.01)).expect("the rule fits");
        let before = parameter_bits(&net);
        let reports = trainer.fit(&mut net, &samples, None, &mut ()).expect("no divergence");
        assert_eq!(trainer.optimizer().steps(), 2);
        let after = parameter_bits(&net);
        assert!(before.iter().zip(&after).filter(|(b, a)| b != a).count() > before.len() / 2);
        let evaluation = evaluate(&net, &samples, batch_size).expect("the samples fit");
        assert_eq!(evaluation.images, 2 * batch_size);
        (after, bits(&[reports[0].train.loss, evaluation.loss, evaluation.correct as f64]))
    })
}

#[test]
fn training_and_evaluation_give_the_same_bytes() {
    // A convolution runs few images in another way than many.
    for batch_size in [3, 21] {
        let expected = trained(1, batch_size);
        for threads in [2, 3, 8] {
            let (weights, results) = trained(threads, batch_size);
            assert_eq!(results, expected.1, "{threads} threads, batches of {batch_size}");
            // Not assert_eq, which would print every weight.
            assert!(weights == expected.0, "{threads} threads, batches of {batch_size}");
        }
    }
}

type Build = fn() -> Sequential<f32>;

/// A sum over the bits of all weights after so many steps, in a pool of so many threads.
fn weights_after_50_steps(net: Build, n: usize, threads: usize) -> u64 {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads");
    pool.install(|| {
        let mut net = net();
        let [_, c, h, w] = net.input_shape().dims();
        let samples = noise::<f32>(2 * n, [c, h, w], 10, 2);
        let options = TrainOptions::default().epochs(25).batch_size(n).seed(3);
        let mut trainer = Trainer::new(options, Rule::adam(0.0001)).expect("the rule fits");
        trainer.fit(&mut net, &samples, None, &mut ()).expect("no divergence");
        assert_eq!(trainer.optimizer().steps(), 50);
        let mut hasher = DefaultHasher::new();
        for parameter in net.parameters() {
            for value in parameter.value().data() {
                hasher.write_u32(value.to_bits());
            }
        }
        hasher.finish()
    })
}

#[test]
fn fifty_steps_of_each_model_give_the_same_bytes() {
    let models: [(&str, Build, usize); 4] = [
        ("SimpleConvNet", || SimpleConvNet::default().build(1).expect("it fits"), 20),
        ("LeNet-5", || LeNet5::default().build(1).expect("it fits"), 20),
        ("DeepConvNet", || DeepConvNet::default().build(1).expect("it fits"), 20),
        ("AlexNet", || AlexNet::default().build(1).expect("it fits"), 1),
    ];
    for (name, net, n) in models {
        let expected = weights_after_50_steps(net, n, 1);
        for threads in [2, 8] {
            let weights = weights_after_50_steps(net, n, threads);
            assert_eq!(weights, expected, "{name}, {threads} threads");
        }
    }
}
