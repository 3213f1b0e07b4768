//! The names in torchvision's state dicts, and those of the networks here that compute the same.
//!
//! torchvision numbers its modules within `features` and `classifier`, those without weights too;
//! here layers are numbered by kind. The shapes are the same: convolutions (out, in, rows, columns),
//! affine layers (out, in).
//!
//! | network | torchvision | here |
//! |---|---|---|
//! | `alexnet` | `features.` `0` `3` `6` `8` `10` | `conv1` … `conv5` |
//! | | `classifier.` `1` `4` `6` | `affine1` … `affine3` |
//! | `vgg11` | `features.` `0` `3` `6` `8` `11` `13` `16` `18` | `conv1` … `conv8` |
//! | `vgg13` | `features.` `0` `2` `5` `7` `10` `12` `15` `17` `20` `22` | `conv1` … `conv10` |
//! | `vgg16` | `features.` `0` `2` `5` `7` `10` `12` `14` `17` `19` `21` `24` `26` `28` | `conv1` … `conv13` |
//! | `vgg19` | `features.` `0` `2` `5` `7` `10` `12` `14` `16` `19` `21` `23` `25` `28` `30` `32` `34` | `conv1` … `conv16` |
//! | every `vgg` | `classifier.` `0` `3` `6` | `affine1` … `affine3` |
//!
//! Each with `.weight` and `.bias`. torchvision's AlexNet is `alexnet-torchvision` here: that of the
//! paper, `alexnet`, has other filters, groups and response normalisation. Those with batch
//! normalisation (`vgg16_bn`) are not here.

use crate::Tensor;

/// A network of torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// `torchvision.models.alexnet`.
    AlexNet,
    /// `torchvision.models.vgg11`.
    Vgg11,
    /// `torchvision.models.vgg13`.
    Vgg13,
    /// `torchvision.models.vgg16`.
    Vgg16,
    /// `torchvision.models.vgg19`.
    Vgg19,
}

impl Network {
    /// The network that a model of this name computes, as `net::models::Model` has them.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        Some(match model {
            "alexnet-torchvision" => Self::AlexNet,
            "vgg11" => Self::Vgg11,
            "vgg13" => Self::Vgg13,
            "vgg16" => Self::Vgg16,
            "vgg19" => Self::Vgg19,
            _ => return None,
        })
    }

    /// The numbers of the modules with weights, in `features` and in `classifier`.
    const fn modules(self) -> (&'static [usize], [usize; 3]) {
        match self {
            Self::AlexNet => (&[0, 3, 6, 8, 10], [1, 4, 6]),
            Self::Vgg11 => (&[0, 3, 6, 8, 11, 13, 16, 18], [0, 3, 6]),
            Self::Vgg13 => (&[0, 2, 5, 7, 10, 12, 15, 17, 20, 22], [0, 3, 6]),
            Self::Vgg16 => (&[0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], [0, 3, 6]),
            Self::Vgg19 => {
                (&[0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34], [0, 3, 6])
            }
        }
    }

    /// All names: torchvision's, and ours.
    #[must_use]
    pub fn names(self) -> Vec<(String, String)> {
        let (features, classifier) = self.modules();
        let of = |kind: &'static str, layer: &'static str, modules: &[usize]| {
            let modules = modules.iter().enumerate();
            let pairs = modules.flat_map(move |(i, module)| {
                ["weight", "bias"].map(|what| {
                    (format!("{kind}.{module}.{what}"), format!("{layer}{}.{what}", i + 1))
                })
            });
            pairs.collect::<Vec<_>>()
        };
        [of("features", "conv", features), of("classifier", "affine", &classifier)].concat()
    }

    /// Gives the tensors of a state dict our names. A name that is not of this network stays, and is
    /// found to be left over when the tensors are loaded.
    pub fn rename(self, tensors: &mut [Tensor]) {
        let names = self.names();
        for tensor in tensors {
            if let Some((_, ours)) = names.iter().find(|(theirs, _)| *theirs == tensor.name) {
                tensor.name.clone_from(ours);
            }
        }
    }
}

/// Whether the tensors have torchvision's names: one stands in `features` or `classifier`.
#[must_use]
pub fn is_state_dict(tensors: &[Tensor]) -> bool {
    let of = |name: &str| name.starts_with("features.") || name.starts_with("classifier.");
    tensors.iter().any(|tensor| of(&tensor.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's `make_layers` puts a ReLU behind each convolution, and a pool where the paper
    /// has one.
    #[test]
    fn modules_of_vgg_are_numbered_as_torchvision_makes_them() {
        for (network, convolutions) in [
            (Network::Vgg11, [1, 1, 2, 2, 2]),
            (Network::Vgg13, [2, 2, 2, 2, 2]),
            (Network::Vgg16, [2, 2, 3, 3, 3]),
            (Network::Vgg19, [2, 2, 4, 4, 4]),
        ] {
            let (mut module, mut expected) = (0, Vec::new());
            for count in convolutions {
                for _ in 0..count {
                    expected.push(module);
                    module += 2;
                }
                module += 1;
            }
            assert_eq!(network.modules().0, expected, "{network:?}");
        }
    }

    #[test]
    fn names_are_given_one_by_one() {
        let names = Network::AlexNet.names();
        assert_eq!(names.len(), 16);
        assert!(names.contains(&("features.8.bias".into(), "conv4.bias".into())));
        assert!(names.contains(&("classifier.6.weight".into(), "affine3.weight".into())));
        let tensor = |name: &str| Tensor { name: name.into(), dims: vec![], values: vec![0.0] };
        let mut tensors = ["features.3.weight", "features.4.weight", "other"].map(tensor);
        assert!(is_state_dict(&tensors) && !is_state_dict(&tensors[2..]));
        Network::AlexNet.rename(&mut tensors);
        let names = tensors.map(|tensor| tensor.name);
        assert_eq!(names, ["conv2.weight", "features.4.weight", "other"]);
    }
}
