//! The plan of a convolution: what is checked once.

mod describe;
mod mirror;
mod weights;
mod workspace;

use im2col::ConvGeometry;
use tensor4::{Shape4, Tensor4, View4, ViewMut4};

use crate::call::{Call, PackedKey, Weights};
use crate::filters::Mirrored;
use crate::kernels::Kernels;
use crate::kernels::winograd::Form;
use crate::weight_grad::Gradients;
use crate::workspace::Aligned;
use crate::{
    Algorithm, Conv2d, ConvError, ConvScalar, Epilogue, KernelSet, Options, PackedWeights, Update,
    Workspace,
};
use crate::{auto, direct, im2col_gemm, lanes, weight_grad, winograd};
use mirror::DataGradient;
pub(crate) use mirror::{Interleaved, MAX_PHASES, Phases};

const FORWARD: &str = "conv2d forward";

/// A convolution whose geometry has been checked, ready to run on batches of any size.
///
/// See the [crate] documentation for the formula and the shapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dPlan {
    desc: Conv2d,
    /// The window over one group of channels.
    group: ConvGeometry,
    weight_shape: Shape4,
    options: Options,
    kernels: KernelSet,
    algorithm: Algorithm,
    reason: &'static str,
    /// So many images or fewer run directly instead.
    few_images: usize,
    /// How the weights are read, if from the last to the first.
    mirrored: Option<Mirrored>,
    /// The phases of the output, if it computes several together.
    interleaved: Option<Interleaved>,
    data_gradient: DataGradient,
    /// The algorithm of the gradient by the weights.
    weight_gradient: Algorithm,
}

impl Conv2dPlan {
    /// Checks the convolution and plans it.
    ///
    /// # Errors
    ///
    /// [`ConvError`] if the groups do not divide the channels, the window does not fit, or a
    /// product of sizes overflows.
    pub fn new(desc: Conv2d, options: Options) -> Result<Self, ConvError> {
        let Conv2d { in_channels, in_h, in_w, out_channels, window, groups } = desc;
        if groups == 0 || in_channels % groups != 0 || out_channels % groups != 0 {
            return Err(ConvError::Groups { groups, in_channels, out_channels });
        }
        // The whole image first: the error shall name the channels that the caller gave.
        ConvGeometry::new(in_channels, in_h, in_w, window)?;
        let group = ConvGeometry::new(in_channels / groups, in_h, in_w, window)?;
        let weight_shape =
            Shape4::new(out_channels, in_channels / groups, window.kernel_h, window.kernel_w)?;
        let kernels = match options.kernels {
            Some(set) => KernelSet::named(set.name())?,
            None => KernelSet::detect()?,
        };
        Shape4::new(1, in_channels, in_h, in_w)?;
        Shape4::new(1, out_channels, group.out_h(), group.out_w())?;
        // Last: whether an algorithm serves is a question about a convolution that exists.
        let (algorithm, reason) = auto::choose(&desc, &group, &options, kernels)?;
        let weight_gradient = algorithm;
        let mut plan = Self {
            desc,
            group,
            weight_shape,
            options,
            kernels,
            algorithm,
            reason,
            few_images: 0,
            mirrored: None,
            interleaved: None,
            data_gradient: DataGradient::Naive,
            weight_gradient,
        };
        plan.weight_gradient = weight_grad::choose(&plan);
        let plan = match options.max_workspace_bytes {
            Some(max) => plan.within(max)?,
            None => plan,
        };
        let few_images = auto::few_images(&plan);
        Ok(Self { few_images, data_gradient: plan.choose_data_gradient(), ..plan })
    }

    /// What is convolved.
    #[must_use]
    pub fn desc(&self) -> &Conv2d {
        &self.desc
    }

    /// The choices it was planned with.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// The algorithm that runs forward for `f32`: the one asked for, or what
    /// [`Auto`](Algorithm::Auto) has chosen. (For `f64`, which has no vector kernels,
    /// `Auto` runs [`Im2colGemm`](Algorithm::Im2colGemm).)
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// As [`algorithm`](Self::algorithm), for a batch of `n` images: of some small images,
    /// [`Winograd`](Algorithm::Winograd), chosen by [`Auto`](Algorithm::Auto), could not fill its registers, and
    /// they run [`Direct`](Algorithm::Direct). So an image alone may be rounded otherwise than within a batch.
    #[must_use]
    pub fn algorithm_of(&self, n: usize) -> Algorithm {
        if self.is_few(n) { Algorithm::Direct } else { self.algorithm }
    }

    /// The algorithm that runs forward for an element type.
    pub(crate) fn algorithm_for<T: ConvScalar>(&self) -> Algorithm {
        match self.algorithm {
            Algorithm::Naive => Algorithm::Naive,
            // Without a pixel there is no plane to walk over: sums of nothing, which this one knows.
            _ if self.group.in_len() == 0 => Algorithm::Im2colGemm,
            _ if self.prefers_gemm::<T>() => Algorithm::Im2colGemm,
            algorithm => algorithm,
        }
    }

    /// Whether there is a choice, and no vector kernel of our own for an element type.
    fn prefers_gemm<T: ConvScalar>(&self) -> bool {
        let Options { algorithm, max_workspace_bytes, .. } = self.options;
        let vector = self.kernels::<T>().set != KernelSet::Scalar;
        algorithm == Algorithm::Auto && !vector && max_workspace_bytes.is_none()
    }

    /// The instruction set that it runs on.
    #[must_use]
    pub fn kernel_set(&self) -> KernelSet {
        self.kernels
    }

    /// The geometry of the window over the channels of one group.
    #[must_use]
    pub fn group_geometry(&self) -> &ConvGeometry {
        &self.group
    }

    /// The shape of an input of `n` images, `(n, C, H, W)`.
    ///
    /// # Errors
    ///
    /// If it overflows.
    pub fn input_shape(&self, n: usize) -> Result<Shape4, ConvError> {
        let Conv2d { in_channels, in_h, in_w, .. } = self.desc;
        Ok(Shape4::new(n, in_channels, in_h, in_w)?)
    }

    /// The shape of the output for `n` images, `(n, OC, OH, OW)`.
    ///
    /// # Errors
    ///
    /// If it overflows.
    pub fn output_shape(&self, n: usize) -> Result<Shape4, ConvError> {
        Ok(Shape4::new(n, self.desc.out_channels, self.group.out_h(), self.group.out_w())?)
    }

    /// The shape of the weights, `(OC, C / groups, KH, KW)`.
    #[must_use]
    pub fn weight_shape(&self) -> Shape4 {
        self.weight_shape
    }

    /// Multiplications (each with an addition) of the formula for `n` images, padding counted as
    /// if it were pixels. Saturates. Each gradient costs as many.
    #[must_use]
    pub fn multiply_adds(&self, n: usize) -> u64 {
        let factors =
            [n, self.desc.out_channels, self.group.patch_len(), self.group.out_plane_len()];
        factors.iter().fold(1, |product: u64, &f| product.saturating_mul(f as u64))
    }

    /// The convolution of a batch, allocating the output.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] or [`ConvError::Bias`] if an argument does not fit the plan.
    pub fn forward<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: View4<'_, T>,
        bias: Option<&[T]>,
        workspace: &mut Workspace<T>,
    ) -> Result<Tensor4<T>, ConvError> {
        // Before the output is allocated: how large it is depends on what the caller gave.
        let shape = self.check_forward(x, w, bias)?;
        let mut y = Tensor4::zeros(shape);
        self.forward_into(x, w, bias, y.view_mut(), workspace)?;
        Ok(y)
    }

    /// The convolution of a batch; overwrites `y`.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] or [`ConvError::Bias`] if an argument does not fit the plan.
    pub fn forward_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: View4<'_, T>,
        bias: Option<&[T]>,
        y: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        self.forward_fused_into(x, w, bias, Epilogue::None, y, workspace)
    }

    /// As [`forward_into`](Self::forward_into), with more done to each output before it is written.
    ///
    /// # Errors
    ///
    /// As [`forward_into`](Self::forward_into).
    pub fn forward_fused_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: View4<'_, T>,
        bias: Option<&[T]>,
        epilogue: Epilogue,
        y: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let shape = self.check_forward(x, w, bias)?;
        check(FORWARD, "the output", y.shape(), shape)?;
        let few = self.is_few(x.shape().n());
        let weights = Weights::Plain(w.data());
        let call = Call { x, weights, bias, epilogue, pool: false, few };
        self.run_forward(&call, y, workspace);
        Ok(())
    }

    /// Brings weights into the form that the algorithm of this plan reads, for
    /// [`forward_packed_into`](Self::forward_packed_into).
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] if the weights do not fit the plan.
    pub fn pack_weights<T: ConvScalar>(
        &self,
        w: View4<'_, T>,
    ) -> Result<PackedWeights<T>, ConvError> {
        check("conv2d pack_weights", "the weight", w.shape(), self.weight_shape)?;
        let key = self.packed_key::<T>();
        let (data, len) = self.packed(key.algorithm, w.data());
        let (few_data, few_len) = match key.algorithm {
            Algorithm::Winograd if self.few_images > 0 => self.packed(Algorithm::Direct, w.data()),
            _ => (Aligned::new(), 0),
        };
        Ok(PackedWeights { key, data, len, few_data, few_len })
    }

    /// Weights in the form that an algorithm reads, and their length.
    fn packed<T: ConvScalar>(&self, algorithm: Algorithm, w: &[T]) -> (Aligned<T>, usize) {
        let (kernels, mut data) = (self.kernels(), Aligned::new());
        let len = match algorithm {
            Algorithm::Direct => direct::packed_len(self, kernels),
            Algorithm::Winograd => winograd::packed_len(self, kernels),
            Algorithm::Depthwise => lanes::packed_len(self, kernels),
            Algorithm::Im2colGemm => im2col_gemm::packed_len::<T>(self),
            _ => w.len(),
        };
        let packed = data.get(len);
        match algorithm {
            Algorithm::Direct => direct::pack(self, kernels, w, packed),
            Algorithm::Winograd => {
                let mut workspace = Workspace::new();
                let scratch = workspace.prepare(winograd::pack_scratch_len(self, kernels), 0);
                winograd::pack(self, kernels, w, packed, scratch.columns);
            }
            Algorithm::Depthwise => lanes::pack(self, kernels, w, packed),
            Algorithm::Im2colGemm => im2col_gemm::pack(self, w, packed),
            _ => packed.copy_from_slice(w),
        }
        (data, len)
    }

    /// As [`forward_fused_into`](Self::forward_fused_into), with weights that were packed for this
    /// plan, or for another with the same algorithm, kernels, groups and shape of the weights.
    ///
    /// # Errors
    ///
    /// [`ConvError::Packed`] if they were packed for another kind of plan; else as
    /// [`forward_into`](Self::forward_into).
    pub fn forward_packed_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: &PackedWeights<T>,
        bias: Option<&[T]>,
        epilogue: Epilogue,
        y: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let shape = self.check_packed(x, w, bias)?;
        check(FORWARD, "the output", y.shape(), shape)?;
        let few = self.is_few(x.shape().n());
        let weights = w.serve(few);
        let call = Call { x, weights, bias, epilogue, pool: false, few };
        self.run_forward(&call, y, workspace);
        Ok(())
    }

    /// Whether so few images run directly, while more of them would not.
    pub(crate) fn is_few(&self, n: usize) -> bool {
        (1..=self.few_images).contains(&n)
    }

    fn packed_key<T: ConvScalar>(&self) -> PackedKey {
        let algorithm = self.algorithm_for::<T>();
        PackedKey {
            algorithm,
            form: self.winograd_form(),
            // That one has kernels of its own for every element type.
            kernels: match algorithm {
                Algorithm::Im2colGemm => self.kernels,
                _ => self.kernels::<T>().set,
            },
            weight_shape: self.weight_shape,
            groups: self.desc.groups,
        }
    }

    /// The gradient of the loss by the input, given that by the output; overwrites `dx`.
    ///
    /// It is the adjoint of the forward pass without bias: `<conv(x, w), dy> = <x, dx>`.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] if an argument does not fit the plan.
    pub fn backward_data_into<T: ConvScalar>(
        &self,
        w: View4<'_, T>,
        dy: View4<'_, T>,
        dx: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        const OPERATION: &str = "conv2d backward_data";
        let n = dy.shape().n();
        check(OPERATION, "the weight", w.shape(), self.weight_shape)?;
        check(OPERATION, "dy", dy.shape(), self.output_shape(n)?)?;
        check(OPERATION, "dx", dx.shape(), self.input_shape(n)?)?;
        self.data_gradient(w, dy, dx, workspace);
        Ok(())
    }

    /// The gradients of the loss by the weights and, if `db` is given, by the bias. Overwrites
    /// or accumulates both, as `update` says.
    ///
    /// `<conv(x, w), dy> = <w, dw>`; `db` is the sum of `dy` over images and pixels.
    ///
    /// # Errors
    ///
    /// [`ConvError::Shape`] or [`ConvError::Bias`] if an argument does not fit the plan.
    pub fn backward_weights_into<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        dy: View4<'_, T>,
        dw: ViewMut4<'_, T>,
        db: Option<&mut [T]>,
        update: Update,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        const OPERATION: &str = "conv2d backward_weights";
        self.check_weight_gradients(OPERATION, x, dy, dw.shape(), db.as_deref())?;
        let gradients = Gradients { x, dy, relu: None, update };
        self.weight_gradients(&gradients, dw, db, workspace);
        Ok(())
    }

    /// Checks what goes into the forward pass; returns the shape of its output.
    pub(crate) fn check_forward<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: View4<'_, T>,
        bias: Option<&[T]>,
    ) -> Result<Shape4, ConvError> {
        let n = x.shape().n();
        check(FORWARD, "the input", x.shape(), self.input_shape(n)?)?;
        check(FORWARD, "the weight", w.shape(), self.weight_shape)?;
        self.check_bias(FORWARD, "the bias", bias.map(<[T]>::len))?;
        self.output_shape(n)
    }

    /// The form of Winograd's algorithm, if it is that which runs.
    pub(crate) fn winograd_form(&self) -> Option<Form> {
        let form = winograd::form(&self.group, self.options.numerics);
        form.filter(|_| self.algorithm == Algorithm::Winograd)
    }

    /// As [`check_forward`](Self::check_forward), with packed weights.
    pub(crate) fn check_packed<T: ConvScalar>(
        &self,
        x: View4<'_, T>,
        w: &PackedWeights<T>,
        bias: Option<&[T]>,
    ) -> Result<Shape4, ConvError> {
        let n = x.shape().n();
        check(FORWARD, "the input", x.shape(), self.input_shape(n)?)?;
        let key = self.packed_key::<T>();
        if w.key != key {
            return Err(ConvError::Packed {
                packed: format!("{:?}", w.key),
                plan: format!("{key:?}"),
            });
        }
        self.check_bias(FORWARD, "the bias", bias.map(<[T]>::len))?;
        self.output_shape(n)
    }

    pub(crate) fn kernels<T: ConvScalar>(&self) -> &'static Kernels<T> {
        T::kernels(self.kernels).expect("the plan was made for a set that this CPU has")
    }

    pub(crate) fn check_bias(
        &self,
        operation: &'static str,
        what: &'static str,
        len: Option<usize>,
    ) -> Result<(), ConvError> {
        let out_channels = self.desc.out_channels;
        match len {
            Some(actual) if actual != out_channels => {
                Err(ConvError::Bias { operation, what, actual, out_channels })
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn check(
    operation: &'static str,
    what: &'static str,
    actual: Shape4,
    expected: Shape4,
) -> Result<(), ConvError> {
    if actual == expected {
        Ok(())
    } else {
        Err(ConvError::Shape { operation, what, actual, expected })
    }
}
