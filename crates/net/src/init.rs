//! How weights begin.

use tensor4::{Shape4, Tensor4};

use crate::NetScalar;

/// The distribution that the weights of a layer are drawn from. Biases begin at 0.
///
/// `fan_in` is the number of inputs that one output sums over (`C / groups * KH * KW` for a
/// convolution, the features for an affine layer), `fan_out` the number of outputs that one input
/// reaches (`OC / groups * KH * KW`, the outputs).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// Normal with a given standard deviation. The book's `SimpleConvNet` takes 0.01.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Normal with standard deviation `sqrt(2 / (fan_in + fan_out))`, for sigmoid and tanh.
    /// Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    /// networks", 2010.
    XavierNormal,
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))`. The same paper.
    XavierUniform,
    /// Normal with standard deviation `sqrt(2 / fan_in)`, for ReLU. He et al., "Delving Deep into
    /// Rectifiers", 2015.
    HeNormal,
    /// Uniform in `±sqrt(6 / fan_in)`. The same paper.
    HeUniform,
    /// 0 throughout, whatever a layer asks for: for a network whose weights are to be read from a
    /// file, or of which only the shapes are of interest. Draws nothing.
    Zeros,
}

impl Init {
    /// The weights of a layer.
    #[must_use]
    pub fn draw<T: NetScalar>(
        self,
        shape: Shape4,
        fan_in: usize,
        fan_out: usize,
        seed: u64,
    ) -> Tensor4<T> {
        // A layer without inputs has no weights to draw; 1 keeps the bounds finite.
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out as f64);
        let normal = |std: f64| Tensor4::normal(shape, 0.0, std, seed);
        let uniform = |bound: f64| Tensor4::uniform(shape, -bound, bound, seed);
        match self {
            Self::Normal { std } => normal(std),
            Self::XavierNormal => normal((2.0 / (fan_in + fan_out)).sqrt()),
            Self::XavierUniform => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Self::HeNormal => normal((2.0 / fan_in).sqrt()),
            Self::HeUniform => uniform((6.0 / fan_in).sqrt()),
            Self::Zeros => Tensor4::zeros(shape),
        }
    }

    /// That of the layer, if it has one of its own, or that of the network.
    pub(crate) fn choose(layer: Option<Self>, network: Self) -> Self {
        match network {
            Self::Zeros => Self::Zeros,
            _ => layer.unwrap_or(network),
        }
    }
}

/// Hands out one seed after the other, all of them given by the first.
///
/// This is `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014.
#[derive(Debug, Clone)]
pub struct Seeds(u64);

impl Seeds {
    /// The seeds that follow from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next seed.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Spreads the bits of a counter over a word, the finaliser of `SplitMix64`: the same for the
/// same counter, whatever came before.
#[must_use]
pub(crate) const fn mix(counter: u64) -> u64 {
    let mut z = counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn std_and_bound(init: Init) -> (f64, f64) {
        let shape = Shape4::matrix(200, 300).unwrap();
        let w: Tensor4<f64> = init.draw(shape, 300, 200, 1);
        let len = w.data().len() as f64;
        let mean = w.data().iter().sum::<f64>() / len;
        let var = w.data().iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / len;
        (var.sqrt(), w.data().iter().fold(0.0, |bound, w| w.abs().max(bound)))
    }

    #[test]
    fn the_spread_is_that_of_the_papers() {
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
        assert!(close(std_and_bound(Init::Normal { std: 0.01 }).0, 0.01));
        assert!(close(std_and_bound(Init::XavierNormal).0, (2.0_f64 / 500.0).sqrt()));
        assert!(close(std_and_bound(Init::XavierUniform).0, (2.0_f64 / 500.0).sqrt()));
        assert!(close(std_and_bound(Init::XavierUniform).1, (6.0_f64 / 500.0).sqrt()));
        assert!(close(std_and_bound(Init::HeNormal).0, (2.0_f64 / 300.0).sqrt()));
        assert!(close(std_and_bound(Init::HeUniform).1, (6.0_f64 / 300.0).sqrt()));
    }

    #[test]
    fn seeds_follow_from_the_first_and_differ() {
        let draw = |seed| {
            let mut seeds = Seeds::new(seed);
            [seeds.draw(), seeds.draw(), seeds.draw()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
        // The first value of the reference implementation for the seed 0.
        assert_eq!(draw(0)[0], 0xe220_a839_7b1d_cdaf);
    }
}
