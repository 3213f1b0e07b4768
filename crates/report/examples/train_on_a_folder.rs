//! Trains on a folder of your own pictures, png or jpeg, a folder for each class.
//!
//!     cargo run --release -p report --example train_on_a_folder FOLDER
//!
//! ```text
//! FOLDER/cat/1.jpg  FOLDER/cat/2.png  ...  FOLDER/dog/1.jpg  ...
//! ```
//!
//! Every fifth picture of a class is kept for the test. Without a folder, some rings and crosses
//! are drawn into a temporary one first.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use dataset::image_folder::{FolderOptions, from_folder};
use dataset::{ImageSet, Normalization};
use im2col::Window;
use net::{Init, Rule, Seeds, Sequential, TensorSamples, TrainOptions, Trainer, layers};
use report::{Confusion, Picture, verdicts};

/// Rows and columns that pictures are brought to.
const SIDE: usize = 32;

/// The images of a set in memory, with the mean and the deviation of each channel taken out.
fn samples(set: &ImageSet, by: &Normalization) -> Result<TensorSamples<f32>, Box<dyn Error>> {
    let (mut x, labels) = set.gather(&(0..set.len()).collect::<Vec<_>>())?;
    let plane_len = x.shape().plane_len();
    for (i, plane) in x.data_mut().chunks_exact_mut(plane_len).enumerate() {
        let channel = i % by.mean().len();
        let (mean, std) = (by.mean()[channel], by.std()[channel]);
        plane.iter_mut().for_each(|x| *x = (*x - mean) / std);
    }
    Ok(TensorSamples::new(x, labels)?)
}

/// Trains on the pictures of the folder, and gives the part of the test that is right.
pub(crate) fn run(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let pictures = from_folder(folder, &FolderOptions::new(SIDE, SIDE))?;
    let classes = pictures.train.class_names().to_vec();
    println!("{} pictures to train on, {} to test", pictures.train.len(), pictures.test.len());
    let normalization = Normalization::of(&pictures.train)?;
    let train = samples(&pictures.train, &normalization)?;
    let test = samples(&pictures.test, &normalization)?;

    let mut net = Sequential::<f32>::builder(3, SIDE, SIDE)
        .init(Init::HeNormal)
        .add(layers::conv2d(16, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::conv2d(32, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(64))
        .add(layers::relu())
        .add(layers::dropout(0.5))
        .add(layers::affine(classes.len()))
        .build(1)?;
    let options = TrainOptions::default().epochs(10).batch_size(16);
    let epochs =
        Trainer::new(options, Rule::adam(0.001))?.fit(&mut net, &train, Some(&test), &mut ())?;
    for epoch in &epochs {
        let right = epoch.test.map_or(0, |test| test.correct);
        println!("epoch {:2}  loss {:.4}  {right} right", epoch.epoch, epoch.train.loss);
    }

    let confusion = Confusion::of(&verdicts(&net, &test, &mut |_| {})?, classes.len());
    for (class, name) in classes.iter().enumerate() {
        let score = confusion.score(class);
        println!("{name}: {} of {} found", confusion.count(class, class), score.images);
    }
    Ok(confusion.correct() as f64 / confusion.images() as f64)
}

/// Rings and crosses of different size and place in a folder of their own.
pub(crate) fn draw(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::new(1);
    let mut draw = |below: u64| (seeds.draw() % below) as f64;
    for class in ["cross", "ring"] {
        fs::create_dir_all(folder.join(class))?;
        for i in 0..60 {
            let (x, y, size) = (18.0 + draw(12), 18.0 + draw(12), 8.0 + draw(8));
            let ink = [draw(256), draw(256), draw(256)].map(|channel| channel as u8);
            let picture = Picture::from_fn(48, 48, |col, row| {
                let (right, down) = (col as f64 - x, row as f64 - y);
                let distance = if class == "ring" {
                    (right.hypot(down) - size).abs()
                } else if right.abs().max(down.abs()) > size {
                    f64::INFINITY
                } else {
                    right.abs().min(down.abs())
                };
                if distance < 2.0 { ink } else { [240; 3] }
            });
            fs::write(folder.join(class).join(format!("{i:02}.png")), picture.to_png())?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let folder = std::env::temp_dir().join("rings-and-crosses");
            draw(&folder)?;
            println!("{}: rings and crosses", folder.display());
            folder
        }
    };
    let accuracy = run(&folder)?;
    println!("accuracy {accuracy:.4}");
    Ok(())
}
