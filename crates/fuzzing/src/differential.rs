//! A convolution that bytes describe, by every algorithm on every instruction set, against the naive one.

use conv::{
    Algorithm, Backward, Conv2d, Conv2dPlan, ConvError, ConvScalar, Epilogue, KernelSet, Numerics,
    Options, Update, Workspace,
};
use im2col::{Padding, Window};
use tensor4::{Shape4, Tensor4};
use testkit::{tensor, values};

/// Multiplications of a convolution that is still tried: it runs some thirty times.
const MOST: u64 = 1 << 18;

/// Numbers out of bytes; 0 where they are over.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.bytes.next().map_or(0, |&byte| usize::from(byte) % end)
    }
}

/// A batch and a convolution, as likely to be impossible as the bytes make it.
fn describe(choices: &mut Choices<'_>) -> (usize, Conv2d, u64) {
    let n = 1 + choices.below(9);
    let groups = 1 + choices.below(4);
    let (group_in, group_out) = (choices.below(36), choices.below(36));
    let (h, w) = (choices.below(24), choices.below(40));
    let kernel = [1 + choices.below(7), 1 + choices.below(7)];
    let stride = [1 + choices.below(4), 1 + choices.below(4)];
    let dilation = [1 + choices.below(3), 1 + choices.below(3)];
    let [top, left, bottom, right] = [0; 4].map(|_: usize| choices.below(5));
    let window = Window::new(kernel[0], kernel[1])
        .strides(stride[0], stride[1])
        .dilations(dilation[0], dilation[1])
        .padding(Padding { top, left, bottom, right });
    let conv = Conv2d::new(groups * group_in, h, w, groups * group_out, window).groups(groups);
    (n, conv, choices.below(256) as u64)
}

struct Inputs<T> {
    x: Tensor4<T>,
    w: Tensor4<T>,
    bias: Vec<T>,
    dy: Tensor4<T>,
    relu: Tensor4<T>,
}

/// `y`, `dx`, `dw` and `db`.
type Outputs<T> = [Vec<T>; 4];

fn run<T: ConvScalar>(plan: &Conv2dPlan, inputs: &Inputs<T>) -> Result<Outputs<T>, ConvError> {
    let Inputs { x, w, bias, dy, .. } = inputs;
    let full = |shape: Shape4| Tensor4::full(shape, T::NAN);
    let (mut y, mut dx, mut dw) = (full(dy.shape()), full(x.shape()), full(w.shape()));
    let mut db = vec![T::NAN; bias.len()];
    let workspace = &mut Workspace::new();
    plan.forward_into(x.view(), w.view(), Some(bias), y.view_mut(), workspace)?;
    plan.backward_data_into(w.view(), dy.view(), dx.view_mut(), workspace)?;
    let (to, update) = (dw.view_mut(), Update::Overwrite);
    plan.backward_weights_into(x.view(), dy.view(), to, Some(&mut db), update, workspace)?;
    Ok([y.into_vec(), dx.into_vec(), dw.into_vec(), db])
}

/// The same bytes from packed weights, and from both gradients in one call.
fn check_other_ways<T: ConvScalar>(
    plan: &Conv2dPlan,
    inputs: &Inputs<T>,
    [y, ..]: &Outputs<T>,
) -> Result<(), ConvError> {
    let Inputs { x, w, bias, dy, relu } = inputs;
    let workspace = &mut Workspace::new();
    let packed = plan.pack_weights(w.view())?;
    let mut again = Tensor4::full(dy.shape(), T::NAN);
    let (to, epilogue) = (again.view_mut(), Epilogue::None);
    plan.forward_packed_into(x.view(), &packed, Some(bias), epilogue, to, workspace)?;
    assert_same("packed", plan, again.data(), y);

    let through = |dy, y| if y > T::ZERO { dy } else { T::ZERO };
    let masked = dy.zip_map(relu, through).expect("both are outputs");
    let full = |shape: Shape4| Tensor4::full(shape, T::NAN);
    let (mut dx, mut dw, mut db) = (full(x.shape()), full(w.shape()), vec![T::NAN; bias.len()]);
    let given = Backward {
        x: x.view(),
        w: w.view(),
        dy: dy.view(),
        relu: Some(relu.view()),
        update: Update::Overwrite,
    };
    let (to, db_to) = (Some(dx.view_mut()), Some(&mut db[..]));
    plan.backward_into(&given, to, dw.view_mut(), db_to, workspace)?;
    let (mut dx_alone, mut dw_alone) = (full(x.shape()), full(w.shape()));
    plan.backward_data_into(w.view(), masked.view(), dx_alone.view_mut(), workspace)?;
    let (to, update) = (dw_alone.view_mut(), Update::Overwrite);
    plan.backward_weights_into(x.view(), masked.view(), to, None, update, workspace)?;
    assert_same("dx at once", plan, dx.data(), dx_alone.data());
    assert_same("dw at once", plan, dw.data(), dw_alone.data());
    Ok(())
}

fn assert_same<T: ConvScalar>(what: &str, plan: &Conv2dPlan, actual: &[T], expected: &[T]) {
    let bits = |values: &[T]| values.iter().map(|v| v.to_f64().to_bits()).collect::<Vec<_>>();
    assert!(
        bits(actual) == bits(expected),
        "{what} differs: {} {:?}",
        plan.describe(),
        plan.desc()
    );
}

fn check<T: ConvScalar>(n: usize, conv: Conv2d, seed: u64, epsilon: f64) -> Result<(), ConvError> {
    let naive = Conv2dPlan::new(conv, Options::with_algorithm(Algorithm::Naive))?;
    if naive.multiply_adds(n) > MOST {
        return Ok(());
    }
    let (x, y) = (naive.input_shape(n)?, naive.output_shape(n)?);
    let inputs = Inputs::<T> {
        x: tensor(x, seed),
        w: tensor(naive.weight_shape(), !seed),
        bias: values(conv.out_channels, seed ^ 2),
        dy: tensor(y, seed ^ 3),
        relu: tensor(y, seed ^ 4),
    };
    let expected = run(&naive, &inputs)?;
    // No sum has more products; the transforms of Winograd make errors some twenty times as large.
    let terms = naive.group_geometry().patch_len().max(n * y.plane_len());
    let taps = conv.window.kernel_h * conv.window.kernel_w;
    let terms = terms.max(conv.out_channels / conv.groups * taps) + 2;
    let tolerance = 4.0 * epsilon * 24.0 * terms as f64;
    let strict = Options::with_algorithm(Algorithm::Winograd).numerics(Numerics::Strict);
    let all = Algorithm::ALL.iter().map(|&algorithm| Options::with_algorithm(algorithm));
    for options in all.chain([strict]) {
        for set in KernelSet::available() {
            let plan = match Conv2dPlan::new(conv, options.kernels(set)) {
                Err(ConvError::Unsupported { .. }) => continue,
                plan => plan?,
            };
            let actual = run(&plan, &inputs)?;
            for (what, (actual, expected)) in
                ["y", "dx", "dw", "db"].iter().zip(actual.iter().zip(&expected))
            {
                for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
                    let error = (*a - *e).to_f64().abs();
                    // NaN fails as well.
                    let close = error <= tolerance;
                    assert!(close, "{what}[{i}]: {a} for {e}: {} {n} x {conv:?}", plan.describe());
                }
            }
            check_other_ways(&plan, &inputs, &actual)?;
        }
    }
    Ok(())
}

/// A convolution that the bytes describe: all algorithms agree on it, or it is refused.
///
/// # Panics
///
/// If two disagree.
pub fn differential(bytes: &[u8]) {
    let (n, conv, seed) = describe(&mut Choices { bytes: bytes.iter() });
    let outcomes = [
        check::<f32>(n, conv, seed, f64::from(f32::EPSILON)),
        check::<f64>(n, conv, seed, f64::EPSILON),
    ];
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(!error.to_string().is_empty());
        assert!(matches!(error, ConvError::Geometry(_)), "{error} {conv:?}");
    }
}
