//! One convolution with each algorithm: what runs and why, and how far the results are apart.
//!
//!     cargo run --release -p conv --example algorithms
//!
//! `COLONNADE_KERNELS=scalar` (or `avx2`, `avx512`, `neon`) shows the same on other kernels.

use conv::{Algorithm, Conv2d, Conv2dPlan, ConvError, Options, Workspace};
use im2col::Window;
use tensor4::Tensor4;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 16 channels of 28x28 pixels, 32 filters of 3x3 with a pixel of padding.
    compare(Conv2d::new(16, 28, 28, 32, Window::square(3).pad(1)))?;
    // The same with channels that stand alone.
    compare(Conv2d::new(16, 28, 28, 16, Window::square(3).pad(1)).groups(16))?;
    // One that fewer algorithms serve: every other pixel, a single tap.
    compare(Conv2d::new(16, 28, 28, 32, Window::square(1).stride(2)))?;
    Ok(())
}

fn compare(conv: Conv2d) -> Result<(), ConvError> {
    let naive = Conv2dPlan::new(conv, Options::with_algorithm(Algorithm::Naive))?;
    let x = Tensor4::<f32>::normal(naive.input_shape(4)?, 0.0, 1.0, 1);
    let w = Tensor4::<f32>::normal(naive.weight_shape(), 0.0, 0.1, 2);
    let bias = vec![0.5; conv.out_channels];
    let mut workspace = Workspace::new();
    let expected = naive.forward(x.view(), w.view(), Some(&bias), &mut workspace)?;
    let largest = expected.data().iter().fold(0.0_f32, |max, y| max.max(y.abs()));

    for &algorithm in Algorithm::ALL {
        let plan = match Conv2dPlan::new(conv, Options::with_algorithm(algorithm)) {
            Ok(plan) => plan,
            Err(error @ ConvError::Unsupported { .. }) => {
                println!("{algorithm:>12}: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let y = plan.forward(x.view(), w.view(), Some(&bias), &mut workspace)?;
        let differences = y.data().iter().zip(expected.data()).map(|(y, e)| (y - e).abs());
        let error = differences.fold(0.0, f32::max) / largest;
        println!("{algorithm:>12}: {}", plan.describe());
        println!("{:>12}  differs by {error:.1e} of the largest output", "");
        assert!(error < 1e-5, "{algorithm} differs by {error}");
    }
    println!();
    Ok(())
}
