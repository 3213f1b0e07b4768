//! The networks that the program knows by name.

use clap::ValueEnum;
use net::models::SimpleConvNet;
use net::{NetError, NetScalar, Sequential};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelName {
    /// conv 5x5 - relu - pool - affine - relu - affine, for MNIST.
    SimpleConvnet,
}

impl ModelName {
    /// The name on the command line and in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SimpleConvnet => "simple-convnet",
        }
    }

    /// The network for images of the given shape, or of its usual one, and so many classes.
    pub(crate) fn build<T: NetScalar>(
        self,
        images: Option<[usize; 3]>,
        classes: usize,
        seed: u64,
    ) -> Result<Sequential<T>, NetError> {
        match self {
            Self::SimpleConvnet => {
                let mut config = SimpleConvNet::default().outputs(classes);
                if let Some([channels, height, width]) = images {
                    config = config.input(channels, height, width);
                }
                config.build(seed)
            }
        }
    }
}
