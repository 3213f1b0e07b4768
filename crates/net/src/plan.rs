//! How a network runs: which layers in one pass, and where their outputs stand.

use tensor4::Shape4;

use crate::{Layer, NetScalar, Tail};

/// What a pass through a network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Every layer runs on its own, and every output stays.
    Record,
    /// What a backward pass reads stays.
    Train,
    /// An output stays until the next layer has read it.
    Infer,
}

/// Layers that run in one pass: the first, and those of its tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) first: usize,
    pub(crate) tail: Tail,
}

impl Step {
    /// The number of the tensor that it computes.
    pub(crate) const fn output(self) -> usize {
        self.first + 1 + self.tail.layers()
    }
}

/// Where a tensor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// Nowhere: it lies within a pass.
    Nowhere,
    /// With the caller: it is the input, or has its elements.
    Caller,
    /// In a piece of memory, one after another with others whose lives don't overlap.
    Slot(usize),
}

/// How a network runs for one purpose, with any number of images. Tensor 0 is the input, tensor
/// `i + 1` the output of layer `i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) homes: Vec<Home>,
    /// How many pieces of memory there are.
    pub(crate) slots: usize,
    /// The first step that has something to train.
    pub(crate) first_trained: usize,
}

impl Plan {
    /// `shapes` are those of the tensors for one image.
    pub(crate) fn new<T: NetScalar>(
        purpose: Purpose,
        layers: &[Box<dyn Layer<T>>],
        shapes: &[Shape4],
    ) -> Self {
        let steps = steps(purpose, layers);
        let trains = |step: &Step| layers[step.first].parameters().iter().any(|p| p.is_trained());
        let first_trained = steps.iter().position(trains).unwrap_or(steps.len());
        let lives = Lives::new(purpose, layers, &steps);
        let (homes, slots) = lives.settle(&steps, shapes);
        Self { steps, homes, slots, first_trained }
    }
}

/// Leaves out the layers that change no element.
fn steps<T: NetScalar>(purpose: Purpose, layers: &[Box<dyn Layer<T>>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut first = 0;
    while first < layers.len() {
        let (layer, rest) = (&*layers[first], &layers[first + 1..]);
        let tail = match purpose {
            Purpose::Record => Tail::Nothing,
            Purpose::Train | Purpose::Infer => Tail::behind(layer, rest),
        };
        if purpose == Purpose::Record || !layer.is_identity(purpose == Purpose::Train) {
            steps.push(Step { first, tail });
        }
        first += 1 + tail.layers();
    }
    steps
}

/// How long each tensor is needed.
struct Lives {
    /// The tensor whose memory each tensor has: itself, or the input of layers that change no
    /// element. `None` within a pass.
    roots: Vec<Option<usize>>,
    /// The step that reads a tensor last, of those that are roots; `usize::MAX` for those that stay.
    last: Vec<usize>,
}

impl Lives {
    fn new<T: NetScalar>(purpose: Purpose, layers: &[Box<dyn Layer<T>>], steps: &[Step]) -> Self {
        let tensors = layers.len() + 1;
        let mut roots = vec![None; tensors];
        let mut last = vec![0; tensors];
        roots[0] = Some(0);
        let mut next = 0;
        let mut steps = steps.iter().enumerate().peekable();
        while next < layers.len() {
            let x = roots[next].expect("a step begins where another ended");
            let Some((index, step)) = steps.next_if(|(_, step)| step.first == next) else {
                next += 1;
                roots[next] = Some(x);
                continue;
            };
            next = step.output();
            roots[next] = Some(next);
            let reads = layers[step.first].reads(step.tail);
            let trains = purpose == Purpose::Train;
            last[x] = last[x].max(if trains && reads.x { usize::MAX } else { index });
            if trains && reads.y {
                last[next] = usize::MAX;
            }
        }
        let output = roots[layers.len()].expect("the last step ends with the last layer");
        last[output] = usize::MAX;
        match purpose {
            Purpose::Record => last.fill(usize::MAX),
            // A backward pass is not handed the input again.
            Purpose::Train => last[0] = usize::MAX,
            Purpose::Infer => {}
        }
        Self { roots, last }
    }

    /// Gives each tensor a piece of memory: of those that are free the smallest that is large enough,
    /// else the largest, which grows.
    fn settle(&self, steps: &[Step], shapes: &[Shape4]) -> (Vec<Home>, usize) {
        let mut homes = vec![Home::Nowhere; shapes.len()];
        let mut sizes: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        if self.last[0] == usize::MAX {
            homes[0] = Home::Slot(0);
            sizes.push(shapes[0].len());
        } else {
            homes[0] = Home::Caller;
        }
        for (index, step) in steps.iter().enumerate() {
            let output = step.output();
            let len = shapes[output].len();
            let best = (0..free.len()).min_by_key(|&i| {
                let size = sizes[free[i]];
                (size < len, size.abs_diff(len))
            });
            let slot = match best {
                Some(best) => free.swap_remove(best),
                None => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            sizes[slot] = sizes[slot].max(len);
            homes[output] = Home::Slot(slot);
            let x = self.roots[step.first].expect("a step begins where another ended");
            if let Home::Slot(slot) = homes[x]
                && self.last[x] == index
            {
                free.push(slot);
            }
        }
        for tensor in 0..homes.len() {
            homes[tensor] = self.roots[tensor].map_or(Home::Nowhere, |root| homes[root]);
        }
        (homes, sizes.len())
    }
}

#[cfg(test)]
mod tests {
    use im2col::Window;

    use super::*;
    use crate::{Builder, Sequential, layers};

    fn plan(purpose: Purpose, builder: Builder<f32>) -> Plan {
        let net = builder.build(1).expect("the layers fit");
        net.plan(purpose).clone()
    }

    fn deep() -> Builder<f32> {
        let window = Window::square(3).pad(1);
        let pool = Window::square(2).stride(2);
        Sequential::builder(1, 9, 8)
            .add(layers::conv2d(4, window)) // 0
            .add(layers::relu())
            .add(layers::conv2d(4, window)) // 2
            .add(layers::relu())
            .add(layers::max_pool2d(pool))
            .add(layers::flatten()) // 5
            .add(layers::affine(6))
            .add(layers::dropout(0.5)) // 7
            .add(layers::affine(3))
    }

    #[test]
    fn convolutions_take_over_what_follows() {
        let steps = |purpose| -> Vec<_> {
            plan(purpose, deep()).steps.iter().map(|step| (step.first, step.tail)).collect()
        };
        let fused = [(0, Tail::Relu), (2, Tail::ReluMaxPool), (6, Tail::Nothing)];
        let dropped = [(7, Tail::Nothing), (8, Tail::Nothing)];
        assert_eq!(steps(Purpose::Train), [&fused[..], &dropped].concat());
        assert_eq!(steps(Purpose::Infer), [&fused[..], &dropped[1..]].concat());
        let all: Vec<_> = (0..9).map(|layer| (layer, Tail::Nothing)).collect();
        assert_eq!(steps(Purpose::Record), all);
    }

    #[test]
    fn inference_needs_two_pieces_of_memory() {
        let Plan { homes, slots, .. } = plan(Purpose::Infer, deep());
        assert_eq!(slots, 2);
        assert_eq!(homes[0], Home::Caller);
        assert_eq!(homes[1], Home::Nowhere);
        assert_eq!(homes[5], homes[6], "flattening moves nothing");
        assert_eq!(homes[7], homes[8], "nor does dropout");
        assert_ne!(homes[2], homes[5]);
        assert_ne!(homes[6], homes[7]);
        assert_ne!(homes[8], homes[9]);
    }

    #[test]
    fn training_keeps_what_is_read_again() {
        let Plan { homes, first_trained, .. } = plan(Purpose::Train, deep());
        assert_eq!(first_trained, 0);
        // The input and every input of a convolution or an affine layer are read again.
        let mut kept: Vec<_> = [0, 2, 6, 8].iter().map(|&i| homes[i]).collect();
        kept.push(homes[9]);
        for (i, home) in kept.iter().enumerate() {
            assert!(matches!(home, Home::Slot(_)));
            assert!(!kept[..i].contains(home));
        }
        // The input of dropout is not, and its memory serves once more.
        assert_eq!(homes[7], homes[9]);
    }

    #[test]
    fn layers_before_the_first_weight_are_not_gone_back_through() {
        let builder = Sequential::builder(3, 8, 8)
            .add(layers::max_pool2d(Window::square(2).stride(2)))
            .add(layers::affine(3));
        assert_eq!(plan(Purpose::Train, builder).first_trained, 1);
    }

    #[test]
    fn a_network_that_changes_nothing_copies() {
        for purpose in [Purpose::Record, Purpose::Train, Purpose::Infer] {
            let builder = Sequential::builder(3, 8, 8).add(layers::flatten());
            assert!(matches!(plan(purpose, builder).homes[1], Home::Slot(_)));
        }
    }
}
