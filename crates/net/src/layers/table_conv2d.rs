//! A convolution whose filters see some channels only, as a table says.

use conv::{Conv2d as Convolution, Conv2dPlan, Options, Update};
use im2col::Window;
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use crate::layer::{check, check_gradient, misfit};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Parameter, Seeds, State,
};

/// The plan of a convolution with a table of connections; see [`table_conv2d`].
#[derive(Debug, Clone, PartialEq)]
pub struct TableConv2dSpec {
    /// For each filter the channels that it sees.
    table: Vec<Vec<usize>>,
    window: Window,
    init: Option<Init>,
}

/// A convolution with a filter and a bias for each entry of the table, which lists the channels
/// that the filter sees: `(N, C, H, W)` to `(N, OC, OH, OW)`. Layer C3 of LeNet-5 is one. LeCun,
/// Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998,
/// table I.
///
/// The weight holds the connections alone, in the order of the table: `[connections, KH, KW]`. It
/// runs as the convolution over all channels that has zeros elsewhere.
#[must_use]
pub fn table_conv2d<I, F>(table: I, window: Window) -> TableConv2dSpec
where
    I: IntoIterator<Item = F>,
    F: IntoIterator<Item = usize>,
{
    let table = table.into_iter().map(|channels| channels.into_iter().collect()).collect();
    TableConv2dSpec { table, window, init: None }
}

impl TableConv2dSpec {
    /// Draws the weights otherwise than the rest of the network.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Self { init: Some(init), ..self }
    }

    fn plan(&self, input: Shape4) -> Result<Conv2dPlan, Misfit> {
        let [_, c, h, w] = input.dims();
        for (filter, seen) in self.table.iter().enumerate() {
            if seen.is_empty() {
                return Err(Misfit::Unconnected { filter });
            }
            for (i, &channel) in seen.iter().enumerate() {
                if channel >= c {
                    return Err(Misfit::NoSuchChannel { filter, channel, channels: c });
                }
                if seen[..i].contains(&channel) {
                    return Err(Misfit::ConnectedTwice { filter, channel });
                }
            }
        }
        let convolution = Convolution::new(c, h, w, self.table.len(), self.window);
        Ok(Conv2dPlan::new(convolution, Options::default())?)
    }
}

impl<T: NetScalar> LayerSpec<T> for TableConv2dSpec {
    fn stem(&self) -> &'static str {
        "conv"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Ok(self.plan(input)?.output_shape(input.n())?)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        init: Init,
        seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        let plan = self.plan(input)?;
        let Window { kernel_h, kernel_w, .. } = self.window;
        let connections: usize = self.table.iter().map(Vec::len).sum();
        let kernel_len = kernel_h * kernel_w;
        let init = Init::choose(self.init, init);
        let mut weight = Vec::with_capacity(connections * kernel_len);
        for seen in &self.table {
            let shape = Shape4::new(seen.len(), kernel_h, kernel_w, 1)?;
            let fan_out = connections * kernel_len / input.c();
            let drawn: Tensor4<T> =
                init.draw(shape, seen.len() * kernel_len, fan_out, seeds.draw());
            weight.extend_from_slice(drawn.data());
        }
        let shape = Shape4::new(connections, kernel_h, kernel_w, 1)?;
        let bias = Tensor4::zeros(Shape4::matrix(self.table.len(), 1)?);
        let parameters = [
            Parameter::new(format!("{name}.weight"), Tensor4::from_vec(shape, weight)?, 3),
            Parameter::new(format!("{name}.bias"), bias, 1),
        ];
        let dense = |(filter, seen): (usize, &Vec<usize>)| {
            seen.iter().map(|channel| filter * input.c() + channel).collect::<Vec<_>>()
        };
        let kernels = self.table.iter().enumerate().flat_map(dense).collect();
        Ok(Box::new(TableConv2d { name, plan, kernels, kernel_len, parameters }))
    }
}

#[derive(Debug)]
struct TableConv2d<T> {
    name: String,
    plan: Conv2dPlan,
    /// For each connection the number of its kernel among all `OC * C`.
    kernels: Vec<usize>,
    /// `KH * KW`.
    kernel_len: usize,
    /// Weight `(connections, KH, KW)` and bias `(OC)`.
    parameters: [Parameter<T>; 2],
}

/// Writes the weights of the connections to where they stand among all.
fn spread<T: NetScalar>(kernels: &[usize], kernel_len: usize, weight: &[T], all: &mut [T]) {
    all.fill(T::ZERO);
    for (&kernel, weight) in kernels.iter().zip(weight.chunks_exact(kernel_len)) {
        all[kernel * kernel_len..][..kernel_len].copy_from_slice(weight);
    }
}

impl<T: NetScalar> Layer<T> for TableConv2d<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        let Convolution { in_channels, out_channels, window, .. } = *self.plan.desc();
        let Window { kernel_h, kernel_w, .. } = window;
        let (connections, all) = (self.kernels.len(), in_channels * out_channels);
        format!(
            "conv {kernel_h}x{kernel_w}, {out_channels} filters, {connections} of {all} connections"
        )
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let expected = self.plan.input_shape(input.n())?;
        check(&self.name, "the input", input, expected)?;
        self.plan.output_shape(input.n()).map_err(|e| misfit(&self.name, input, e))
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        y: ViewMut4<'_, T>,
        state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), self.output_shape(x.shape())?)?;
        let shape = self.plan.weight_shape();
        let [weight, bias] = self.parameters.each_ref().map(|p| p.value().data());
        let State { values, workspace, .. } = state;
        let all = State::grown(values, shape.len());
        spread(&self.kernels, self.kernel_len, weight, all);
        Ok(self.plan.forward_into(x, View4::new(shape, all)?, Some(bias), y, workspace)?)
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Gradient { x, dy, .. } = gradient;
        let shape = self.plan.weight_shape();
        let [weight, bias] = &mut self.parameters;
        let State { values, workspace, .. } = state;
        let all = State::grown(values, shape.len());
        self.plan.backward_weights_into(
            x,
            dy,
            ViewMut4::new(shape, all)?,
            Some(bias.grad_mut().data_mut()),
            Update::Overwrite,
            workspace,
        )?;
        let gradients = weight.grad_mut().data_mut().chunks_exact_mut(self.kernel_len);
        for (&kernel, dw) in self.kernels.iter().zip(gradients) {
            dw.copy_from_slice(&all[kernel * self.kernel_len..][..self.kernel_len]);
        }
        if let Some(dx) = dx {
            spread(&self.kernels, self.kernel_len, weight.value().data(), all);
            self.plan.backward_data_into(View4::new(shape, all)?, dy, dx, workspace)?;
        }
        Ok(())
    }

    fn parameters(&self) -> &[Parameter<T>] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter<T>] {
        &mut self.parameters
    }

    /// Those of the connections, though those that are 0 are computed with them.
    fn multiply_adds(&self, input: Shape4) -> u64 {
        let Convolution { in_channels, out_channels, .. } = *self.plan.desc();
        let all = (in_channels * out_channels).max(1) as u64;
        self.plan.multiply_adds(input.n()) / all * self.kernels.len() as u64
    }
}
