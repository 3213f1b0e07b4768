//! A network of your own: its layers, its table, and a training on images made here.
//!
//! The images hold stripes under noise, lying, standing, or running down to the left or to the
//! right; the network learns to tell the four apart.
//!
//!     cargo run --release -p net --example own_net

use im2col::Window;
use net::{Control, EpochReport, Init, NetError, Observer, Rule, Schedule, Sequential};
use net::{TensorSamples, TrainOptions, Trainer, evaluate, layers};
use tensor4::{Shape4, Tensor4};

const CLASSES: [&str; 4] = ["lying", "standing", "down to the left", "down to the right"];

/// So many images of 16x16 pixels, of each class in turn.
fn stripes(images: usize, seed: u64) -> Result<TensorSamples<f32>, NetError> {
    let shape = Shape4::new(images, 1, 16, 16)?;
    let noise = Tensor4::<f32>::normal(shape, 0.0, 0.7, seed);
    let starts = Tensor4::<f32>::uniform(Shape4::matrix(images, 1)?, 0.0, 6.0, seed + 1);
    let x = Tensor4::from_fn(shape, |n, c, h, w| {
        let across = [h, w, h + w, 16 + h - w][n % CLASSES.len()] as f32;
        (across + starts.data()[n]).sin() + noise[(n, c, h, w)]
    });
    TensorSamples::new(x, (0..images).map(|n| n % CLASSES.len()).collect())
}

/// Prints a line per epoch.
struct Print;

impl Observer<f32> for Print {
    fn on_epoch(
        &mut self,
        report: &EpochReport,
        _net: &Sequential<f32>,
    ) -> Result<Control, NetError> {
        println!("epoch {}  loss {:.4}", report.epoch, report.train.loss);
        Ok(Control::Continue)
    }
}

pub(crate) fn main() -> Result<(), NetError> {
    let mut net = Sequential::<f32>::builder(1, 16, 16)
        .init(Init::HeNormal)
        .add(layers::conv2d(8, Window::square(3).pad(1)))
        .add(layers::batch_norm2d())
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::conv2d(16, Window::square(3)).same())
        .add(layers::relu())
        .add(layers::global_avg_pool2d())
        .add(layers::affine(CLASSES.len()))
        .build(1)?;
    for layer in net.summary()? {
        println!("{:8} {:28} {}", layer.name, layer.kind, layer.output);
    }
    println!("{} parameters\n", net.parameter_count());

    let (train, test) = (stripes(400, 1)?, stripes(200, 100)?);
    let options = TrainOptions::default().epochs(5).batch_size(20).schedule(Schedule::Linear);
    Trainer::new(options, Rule::adam(0.01))?.fit(&mut net, &train, None, &mut Print)?;
    let result = evaluate(&net, &test, 100)?;
    println!("{} of {} images that it had not seen are right", result.correct, result.images);
    assert!(result.accuracy() > 0.9);

    // A layer that does not fit is an error before the first weight is made.
    let plan = Sequential::<f32>::builder(1, 16, 16);
    let error = plan.add(layers::conv2d(8, Window::square(17))).build(1).unwrap_err();
    println!("\nA kernel of 17x17 would not fit:\n{error}");
    Ok(())
}
