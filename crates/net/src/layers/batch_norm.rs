//! Batch normalisation.

use conv::parallel::{piece, pieces, pieces_of_both};
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::parallel::{planes_per_task, sum_of, sum_of_pairs};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Parameter, Seeds, State,
};

/// The plan of a batch normalisation; see [`batch_norm2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dSpec {
    eps: f64,
    momentum: f64,
}

/// Brings each channel to mean 0 and variance 1, then to a scale and a shift that training
/// changes: `y = (x - mean) / sqrt(var + eps) * weight + bias`. PyTorch's definition, and its
/// defaults: eps 1e-5, momentum 0.1. Ioffe and Szegedy, "Batch Normalization: Accelerating Deep
/// Network Training by Reducing Internal Covariate Shift", 2015.
///
/// In training, mean and variance are those of the channel over the images and pixels of the
/// batch. In evaluation they are the running statistics, `running_mean` and `running_var`, which
/// begin at 0 and 1 and move at each step by `momentum` towards those of the batch (the variance
/// with one value less in its divisor). They are saved and loaded with the weights, but are not
/// [trained](Parameter::is_trained). The backward pass moves them, once for each forward pass in
/// training mode: a forward pass changes no layer.
#[must_use]
pub const fn batch_norm2d() -> BatchNorm2dSpec {
    BatchNorm2dSpec { eps: 1e-5, momentum: 0.1 }
}

impl BatchNorm2dSpec {
    /// What keeps the divisor from 0.
    #[must_use]
    pub const fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// How much of the running statistics a batch replaces.
    #[must_use]
    pub const fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }
}

impl<T: NetScalar> LayerSpec<T> for BatchNorm2dSpec {
    fn stem(&self) -> &'static str {
        "bn"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let setting = |setting, value, allowed| Err(Misfit::Setting { setting, value, allowed });
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return setting("eps", self.eps, "a finite number above 0 would fit");
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return setting("the momentum", self.momentum, "at least 0 and at most 1 would fit");
        }
        Ok(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        LayerSpec::<T>::output_shape(&*self, input)?;
        let shape = Shape4::matrix(input.c(), 1)?;
        let (zeros, ones) = (Tensor4::zeros(shape), Tensor4::full(shape, T::ONE));
        let weight = if init == Init::Zeros { zeros.clone() } else { ones.clone() };
        let parameters = [
            Parameter::new(format!("{name}.weight"), weight, 1),
            Parameter::new(format!("{name}.bias"), zeros.clone(), 1),
            Parameter::statistic(format!("{name}.running_mean"), zeros, 1),
            Parameter::statistic(format!("{name}.running_var"), ones, 1),
        ];
        Ok(Box::new(BatchNorm2d { name, spec: *self, parameters }))
    }
}

#[derive(Debug)]
struct BatchNorm2d<T> {
    name: String,
    spec: BatchNorm2dSpec,
    /// Weight, bias, running mean and running variance, `(C)` each.
    parameters: [Parameter<T>; 4],
}

impl<T: NetScalar> BatchNorm2d<T> {
    fn channels(&self) -> usize {
        self.parameters[0].shape().n()
    }

    /// Mean and variance of every channel of the batch.
    fn statistics(&self, x: View4<'_, T>, means: &mut [T], variances: &mut [T]) {
        let (n, values) = (x.shape().n(), values_per_channel(x.shape()) as f64);
        pieces_of_both((means, 1), (variances, 1), 1, &|c, mean, variance| {
            let sum: f64 = (0..n).map(|i| sum_of(x.plane(i, c), |x| x)).sum();
            let centre = sum / values;
            let square = |x: f64| (x - centre) * (x - centre);
            let sum: f64 = (0..n).map(|i| sum_of(x.plane(i, c), square)).sum();
            (mean[0], variance[0]) = (T::from_f64(centre), T::from_f64(sum / values));
        });
    }

    /// Moves the running statistics towards those of a batch.
    fn move_statistics(&mut self, means: &[T], variances: &[T], values: usize) {
        let momentum = self.spec.momentum;
        let unbiased = values as f64 / (values as f64 - 1.0);
        let [_, _, running_mean, running_var] = &mut self.parameters;
        for (running, batch, factor) in
            [(running_mean, means, 1.0), (running_var, variances, unbiased)]
        {
            for (running, batch) in running.value_mut().iter_mut().zip(batch) {
                let (old, new) = (running.to_f64(), batch.to_f64() * factor);
                *running = T::from_f64((1.0 - momentum) * old + momentum * new);
            }
        }
    }
}

fn values_per_channel(shape: Shape4) -> usize {
    shape.n() * shape.plane_len()
}

impl<T: NetScalar> Layer<T> for BatchNorm2d<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        "batch norm".to_owned()
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let [n, _, h, w] = input.dims();
        check(&self.name, "the input", input, Shape4::new(n, self.channels(), h, w)?)?;
        Ok(input)
    }

    /// Mean, variance and `1 / sqrt(var + eps)` that it works with stay in the state.
    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), self.output_shape(x.shape())?)?;
        let (channels, values) = (self.channels(), values_per_channel(x.shape()));
        state.step = None;
        state.pending = false;
        let [weight, bias, running_mean, running_var] =
            self.parameters.each_ref().map(|p| p.value().data());
        if let Mode::Train { step } = mode {
            if values == 1 {
                return Err(NetError::NoVariance { layer: self.name.clone() });
            }
            state.step = Some(step);
            state.pending = values > 0;
        }
        let (means, rest) = state.values_mut(3 * channels).split_at_mut(channels);
        let (variances, deviations) = rest.split_at_mut(channels);
        match mode {
            Mode::Train { .. } => self.statistics(x, means, variances),
            Mode::Eval => {
                means.copy_from_slice(running_mean);
                variances.copy_from_slice(running_var);
            }
        }
        if x.shape().is_empty() {
            return Ok(());
        }
        for (deviation, variance) in deviations.iter_mut().zip(&*variances) {
            *deviation = T::from_f64(1.0 / (variance.to_f64() + self.spec.eps).sqrt());
        }
        let plane_len = x.shape().plane_len();
        let (means, deviations) = (&*means, &*deviations);
        pieces(y.into_data(), plane_len, planes_per_task(plane_len), &|plane, y| {
            let (c, x) = (plane % channels, piece(x.data(), plane, plane_len));
            let scale = weight[c] * deviations[c];
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - means[c]) * scale + bias[c];
            }
        });
        Ok(())
    }

    /// With `m` values in a channel, `z = (x - mean) / sqrt(var + eps)`, `db = sum of dy` and
    /// `dw = sum of dy z`: `dx = weight / sqrt(var + eps) * (dy - db / m - z dw / m)`, where in
    /// evaluation `dx` is the first term alone, because the statistics do not follow from `x`.
    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { x, dy, .. } = gradient;
        let (n, values) = (x.shape().n(), values_per_channel(x.shape()));
        let (channels, plane_len) = (self.channels(), x.shape().plane_len());
        let (in_training, pending) = (state.step.is_some(), std::mem::take(&mut state.pending));
        let (means, rest) = state.values_mut(3 * channels).split_at(channels);
        let (variances, deviations) = rest.split_at(channels);
        if pending {
            self.move_statistics(means, variances, values);
        }

        let [weight, bias, ..] = &mut self.parameters;
        let [dw, db] = [weight, bias].map(|parameter| parameter.grad_mut().data_mut());
        pieces_of_both((dw, 1), (db, 1), 1, &|c, dw, db| {
            let mean = means[c].to_f64();
            let products = (0..n)
                .map(|i| sum_of_pairs(dy.plane(i, c), x.plane(i, c), |dy, x| dy * (x - mean)));
            dw[0] = T::from_f64(products.sum::<f64>() * deviations[c].to_f64());
            db[0] = T::from_f64((0..n).map(|i| sum_of(dy.plane(i, c), |dy| dy)).sum());
        });

        let Some(dx) = dx.filter(|dx| !dx.shape().is_empty()) else { return Ok(()) };
        let [weight, bias, ..] = &self.parameters;
        let (dw, db) = (weight.grad().data(), bias.grad().data());
        let share = if in_training { T::ONE / T::from_usize(values) } else { T::ZERO };
        pieces(dx.into_data(), plane_len, planes_per_task(plane_len), &|plane, dx| {
            let c = plane % channels;
            let [x, dy] = [x, dy].map(|all| piece(all.data(), plane, plane_len));
            let scale = weight.value().data()[c] * deviations[c];
            let (by_mean, by_x) = (db[c] * share, dw[c] * share * deviations[c]);
            for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = scale * (dy - by_mean - (x - means[c]) * by_x);
            }
        });
        Ok(())
    }

    fn parameters(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut self.parameters
    }
}
