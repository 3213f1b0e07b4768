//! A network that serves.

use std::sync::{Arc, Mutex, PoisonError};

use conv::PackedWeights;
use tensor4::{View4, ViewMut4};

use crate::layer::check;
use crate::{Mode, NetError, NetScalar, Sequential, State, Tape};

/// A network whose weights don't change any more, to be run by any number of threads at a time.
///
/// Weights are packed once, each call runs on all threads of the pool even for a single image, and
/// after the first call (on each of so many threads as call at a time) none allocates memory.
///
/// ```
/// use net::{Session, models::SimpleConvNet};
/// use tensor4::{Shape4, Tensor4};
///
/// let session = Session::new(SimpleConvNet::default().build::<f32>(1)?)?;
/// let image = Tensor4::uniform(Shape4::new(1, 1, 28, 28)?, 0.0, 1.0, 2);
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let logits = session.infer(image.view()).unwrap();
///             assert_eq!(logits.view().dims(), [1, 10, 1, 1]);
///         });
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session<T: NetScalar> {
    net: Sequential<T>,
    /// The packed weights of each layer that packs some.
    packed: Vec<Option<Arc<PackedWeights<T>>>>,
    /// One tape for each call that ran at a time, handed out and taken back.
    tapes: Mutex<Vec<Tape<T>>>,
}

impl<T: NetScalar> Session<T> {
    /// Packs the weights of a network.
    ///
    /// # Errors
    ///
    /// None for a network that was built.
    pub fn new(net: Sequential<T>) -> Result<Self, NetError> {
        let packed = net.layers().iter().map(|layer| Ok(layer.pack()?.map(Arc::new)));
        let packed = packed.collect::<Result<_, NetError>>()?;
        Ok(Self { net, packed, tapes: Mutex::default() })
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Sequential<T> {
        &self.net
    }

    /// The network, to be trained further.
    #[must_use]
    pub fn into_network(self) -> Sequential<T> {
        self.net
    }

    /// Runs a batch of any size through the network, in evaluation mode.
    ///
    /// # Errors
    ///
    /// [`NetError::Shape`] if the images are not of the shape that the network takes.
    pub fn infer(&self, x: View4<'_, T>) -> Result<Inference<'_, T>, NetError> {
        let waiting = self.tapes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tape = waiting.unwrap_or_else(|| self.tape());
        self.net.forward(x, &mut tape, Mode::Eval)?;
        Ok(Inference { session: self, n: x.shape().n(), tape })
    }

    /// As [`infer`](Self::infer), and overwrites `y` with the output.
    ///
    /// # Errors
    ///
    /// As [`infer`](Self::infer), also if `y` is not of the shape of the output.
    pub fn infer_into(&self, x: View4<'_, T>, mut y: ViewMut4<'_, T>) -> Result<(), NetError> {
        let output = self.infer(x)?;
        check("inference", "the output", y.shape(), output.view().shape())?;
        y.data_mut().copy_from_slice(output.view().data());
        Ok(())
    }

    fn tape(&self) -> Tape<T> {
        let mut tape = Tape::new();
        let states =
            self.packed.iter().map(|packed| State { packed: packed.clone(), ..State::new() });
        tape.states.extend(states);
        tape
    }
}

/// The output of a [`Session`] for a batch. Its memory goes back to the session when it is dropped.
#[derive(Debug)]
pub struct Inference<'a, T: NetScalar> {
    session: &'a Session<T>,
    n: usize,
    tape: Tape<T>,
}

impl<T: NetScalar> Inference<'_, T> {
    /// The output of the last layer.
    #[must_use]
    pub fn view(&self) -> View4<'_, T> {
        self.session.net.output(&self.tape, Mode::Eval, self.n)
    }
}

impl<T: NetScalar> Drop for Inference<'_, T> {
    fn drop(&mut self) {
        let tape = std::mem::replace(&mut self.tape, Tape::new());
        self.session.tapes.lock().unwrap_or_else(PoisonError::into_inner).push(tape);
    }
}
