//! What training changes.

use std::sync::OnceLock;

use tensor4::{Shape4, Tensor4};

use crate::NetScalar;

/// A tensor that training changes, and the gradient of the loss by it; or one that is
/// [kept beside](Parameter::statistic) such tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter<T> {
    name: String,
    value: Tensor4<T>,
    /// Empty until it is asked for: who only infers has no memory for it.
    grad: OnceLock<Tensor4<T>>,
    /// The sizes as others write them: `[OC, C, KH, KW]`, `[out, in]`, `[OC]`.
    dims: Vec<usize>,
    trained: bool,
}

impl<T: NetScalar> Parameter<T> {
    /// A parameter of the given value, with a gradient of 0.
    ///
    /// `rank` says how many of the four sizes of the tensor are written to files: 4 for the
    /// weights of a convolution, 2 for a matrix, 1 for a bias. The sizes beyond are 1.
    ///
    /// # Panics
    ///
    /// If `rank` is above 4, or one of the sizes beyond it is not 1.
    #[must_use]
    pub fn new(name: impl Into<String>, value: Tensor4<T>, rank: usize) -> Self {
        let sizes = value.shape().dims();
        let (dims, beyond) = sizes.split_at(rank);
        assert!(beyond.iter().all(|&size| size == 1), "rank {rank} of shape {}", value.shape());
        let dims = dims.to_vec();
        Self { name: name.into(), value, grad: OnceLock::new(), dims, trained: true }
    }

    /// As [`new`](Self::new), for what is saved and loaded with the weights but not changed by an
    /// optimiser, such as the running mean of a normalisation. Its gradient stays 0.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn statistic(name: impl Into<String>, value: Tensor4<T>, rank: usize) -> Self {
        Self { trained: false, ..Self::new(name, value, rank) }
    }

    /// Whether an optimiser changes it.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.trained
    }

    /// The name, such as `conv1.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of value and gradient.
    #[must_use]
    pub fn shape(&self) -> Shape4 {
        self.value.shape()
    }

    /// The sizes as files hold them: `[OC, C, KH, KW]`, `[out, in]` or `[OC]`.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Tensor4<T> {
        &self.value
    }

    /// The value, to be changed; its shape stays.
    #[must_use]
    pub fn value_mut(&mut self) -> &mut [T] {
        self.value.data_mut()
    }

    /// The gradient of the loss by the value, as the last backward pass left it.
    #[must_use]
    pub fn grad(&self) -> &Tensor4<T> {
        self.grad.get_or_init(|| Tensor4::zeros(self.value.shape()))
    }

    /// The gradient, to be written by a backward pass; its shape stays.
    #[must_use]
    pub fn grad_mut(&mut self) -> &mut Tensor4<T> {
        self.value_and_grad_mut().1
    }

    /// The value to be read, beside the gradient to be written.
    #[must_use]
    pub fn value_and_grad_mut(&mut self) -> (&Tensor4<T>, &mut Tensor4<T>) {
        let Self { value, grad, .. } = self;
        grad.get_or_init(|| Tensor4::zeros(value.shape()));
        (value, grad.get_mut().expect("it was made just now"))
    }

    /// The value to be changed, beside the gradient to be read.
    #[must_use]
    pub fn value_mut_and_grad(&mut self) -> (&mut [T], &[T]) {
        let Self { value, grad, .. } = self;
        let grad = grad.get_or_init(|| Tensor4::zeros(value.shape()));
        (value.data_mut(), grad.data())
    }
}
