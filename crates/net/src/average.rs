//! A running average of the weights.

use crate::parallel::update;
use crate::{NetScalar, Sequential};

/// A running average of every parameter of a network.
#[derive(Debug)]
pub(crate) struct Average<T> {
    decay: f64,
    values: Vec<Vec<T>>,
}

impl<T: NetScalar> Average<T> {
    /// Begins with the weights as they are.
    pub(crate) fn new(net: &Sequential<T>, decay: f64) -> Self {
        let values = net.parameters().map(|p| p.value().data().to_vec()).collect();
        Self { decay, values }
    }

    /// Goes on with an average of every parameter, in their order.
    pub(crate) fn restored(decay: f64, values: Vec<Vec<T>>) -> Self {
        Self { decay, values }
    }

    /// The average of a parameter, by its number.
    pub(crate) fn values(&self, index: usize) -> &[T] {
        &self.values[index]
    }

    /// Takes the weights after a step (counted from 1) in.
    pub(crate) fn add(&mut self, net: &Sequential<T>, step: u64) {
        // Less of the past in the first steps, when the past is worth nothing.
        let step = step as f64;
        let new = T::from_f64(1.0 - self.decay.min(step / (step + 10.0)));
        for (average, parameter) in self.values.iter_mut().zip(net.parameters()) {
            update(average, parameter.value().data(), |average, value| {
                *average += new * (value - *average);
            });
        }
    }

    /// Exchanges the average and the weights of the network.
    pub(crate) fn swap(&mut self, net: &mut Sequential<T>) {
        for (average, parameter) in self.values.iter_mut().zip(net.parameters_mut()) {
            average.swap_with_slice(parameter.value_mut());
        }
    }
}
