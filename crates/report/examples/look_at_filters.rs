//! Trains SimpleConvNet on some digits, and shows the filters of its first layer before and after.
//!
//! Prints them in characters; writes them as a PNG if a file is named.
//!
//!     cargo run --release -p report --example look_at_filters [FILE]

use std::error::Error;
use std::path::Path;

use net::models::SimpleConvNet;
use net::{Rule, Sequential, TensorSamples, TrainOptions, Trainer};
use report::{filters_before_and_after, plane};

/// How many digits to train on: some seconds' worth.
const DIGITS: usize = 2000;
/// How many filters are printed.
const PRINTED: usize = 6;
/// From black to white.
const GREYS: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A row of filters, two characters for a weight.
fn print(net: &Sequential<f32>) -> Result<(), Box<dyn Error>> {
    let weight = net.parameter("conv1.weight").ok_or("there is no conv1")?.value();
    let [_, _, h, w] = weight.dims();
    let pictures: Vec<_> = (0..PRINTED)
        .map(|filter| weight.plane(filter, 0))
        .map(|filter| plane(filter, h, w, report::Scale::of(filter)))
        .collect();
    for y in 0..h {
        let row = |picture: &report::Picture| -> String {
            let grey = |x| GREYS[usize::from(picture.pixel(x, y)[0]) * GREYS.len() / 256];
            (0..w).flat_map(|x| [grey(x); 2]).collect()
        };
        println!("  {}", pictures.iter().map(row).collect::<Vec<_>>().join("   "));
    }
    Ok(())
}

/// Writes the picture to `file`, if there is one.
pub(crate) fn run(digits: usize, file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mnist = dataset::mnist::bundled()?;
    let (images, labels) = mnist.train.gather(&(0..digits).collect::<Vec<_>>())?;
    let train = TensorSamples::new(images, labels)?;

    // The same seed makes the same weights: a copy to be trained.
    let before = SimpleConvNet::default().build::<f32>(0)?;
    let mut after = SimpleConvNet::default().build::<f32>(0)?;
    let options = TrainOptions::default().epochs(5).batch_size(20);
    Trainer::new(options, Rule::adam(0.001))?.fit(&mut after, &train, None, &mut ())?;

    println!("The first {PRINTED} filters of conv1 before training:\n");
    print(&before)?;
    println!("\nand after it, on {digits} digits:\n");
    print(&after)?;
    let picture = filters_before_and_after(&before, &after)?;
    if let Some(file) = file {
        std::fs::write(file, picture.to_png())?;
        println!("\n{}: all of them, before training on the left", file.display());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(DIGITS, std::env::args_os().nth(1).as_deref().map(Path::new))
}
