//! AlexNet learns 64 random images by heart.
//!
//! Thirty steps over the same batch: images of 227x227 pixels, made of 8x8 patches of random
//! colours, in 10 classes. Prints the loss of each step. Dropout is off: it is there to prevent
//! just this. Takes minutes and 3 GB.
//!
//!     cargo run --release -p net --example overfit_alexnet

use net::models::AlexNet;
use net::{Control, Observer, Rule, StepReport, TensorSamples, TrainOptions, Trainer};
use tensor4::{Shape4, Tensor4};

const IMAGES: usize = 64;
const CLASSES: usize = 10;
const SIDE: usize = 227;
const PATCHES: usize = 8;

struct Print;

impl Observer<f32> for Print {
    fn on_step(&mut self, report: &StepReport) -> Control {
        println!("step {:2}  loss {:.4}", report.step, report.loss);
        Control::Continue
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let patches = Tensor4::<f32>::normal(Shape4::new(IMAGES, 3, PATCHES, PATCHES)?, 0.0, 1.0, 1);
    let images = Tensor4::from_fn(Shape4::new(IMAGES, 3, SIDE, SIDE)?, |n, c, h, w| {
        patches.plane(n, c)[h * PATCHES / SIDE * PATCHES + w * PATCHES / SIDE]
    });
    let labels = (0..IMAGES).map(|image| image * 7 % CLASSES).collect();
    let samples = TensorSamples::new(images, labels)?;
    let mut net = AlexNet::default().classes(CLASSES).dropout(0.0).build::<f32>(1)?;
    let options = TrainOptions::default().epochs(30).batch_size(IMAGES);
    Trainer::new(options, Rule::adam(0.00005))?.fit(&mut net, &samples, None, &mut Print)?;
    Ok(())
}
