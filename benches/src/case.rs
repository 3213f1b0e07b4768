//! One direction of one layer: what it reads and writes, and what it must give.

use conv::{
    Algorithm, Conv2dPlan, ConvError, ConvScalar, Epilogue, Options, PackedWeights, Update,
    Workspace,
};
use tensor4::Tensor4;
use testkit::{relative_rms, values};

use crate::layers::TimedLayer;

/// The three convolutions of a layer in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The output, with bias.
    Forward,
    /// The gradient by the input.
    BackwardData,
    /// The gradients by the weights and the bias.
    BackwardWeights,
}

impl Direction {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Forward, Self::BackwardData, Self::BackwardWeights];

    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::BackwardData => "backward_data",
            Self::BackwardWeights => "backward_weights",
        }
    }
}

/// What a call reads and writes.
struct Buffers<T> {
    x: Tensor4<T>,
    w: Tensor4<T>,
    bias: Vec<T>,
    dy: Tensor4<T>,
    /// The output, dx or dw.
    out: Tensor4<T>,
    db: Vec<T>,
}

impl Buffers<f32> {
    /// Normal numbers; the weights such that outputs are about as large as inputs. What the
    /// direction does not read stays empty.
    fn random(plan: &Conv2dPlan, n: usize, direction: Direction) -> Result<Self, ConvError> {
        let (x, w) = (plan.input_shape(n)?, plan.weight_shape());
        let y = plan.output_shape(n)?;
        let patch_len = plan.group_geometry().patch_len().max(1);
        let scale = 1.0 / (patch_len as f64).sqrt();
        let (reads_x, reads_w, reads_dy) = match direction {
            Direction::Forward => (true, true, false),
            Direction::BackwardData => (false, true, true),
            Direction::BackwardWeights => (true, false, true),
        };
        let normal = |read: bool, shape, std, seed| match read {
            true => Tensor4::normal(shape, 0.0, std, seed),
            false => Tensor4::from_matrix(0, 0, Vec::new()).expect("no elements"),
        };
        let out = match direction {
            Direction::Forward => y,
            Direction::BackwardData => x,
            Direction::BackwardWeights => w,
        };
        Ok(Self {
            x: normal(reads_x, x, 1.0, 1),
            w: normal(reads_w, w, scale, 2),
            dy: normal(reads_dy, y, 1.0, 3),
            bias: values(w.n(), 4),
            out: Tensor4::zeros(out),
            db: vec![0.0; w.n()],
        })
    }

    fn to_f64(&self) -> Buffers<f64> {
        Buffers {
            x: self.x.cast(),
            w: self.w.cast(),
            bias: self.bias.iter().map(|&value| f64::from(value)).collect(),
            dy: self.dy.cast(),
            out: Tensor4::zeros(self.out.shape()),
            db: vec![0.0; self.db.len()],
        }
    }
}

impl<T: ConvScalar> Buffers<T> {
    fn run(
        &mut self,
        plan: &Conv2dPlan,
        packed: Option<&PackedWeights<T>>,
        direction: Direction,
        workspace: &mut Workspace<T>,
    ) -> Result<(), ConvError> {
        let Self { x, w, bias, dy, out, db } = self;
        let (x, w, dy, out) = (x.view(), w.view(), dy.view(), out.view_mut());
        match direction {
            Direction::Forward => match packed {
                None => plan.forward_into(x, w, Some(bias), out, workspace),
                Some(w) => {
                    plan.forward_packed_into(x, w, Some(bias), Epilogue::None, out, workspace)
                }
            },
            Direction::BackwardData => plan.backward_data_into(w, dy, out, workspace),
            Direction::BackwardWeights => {
                let update = Update::Overwrite;
                plan.backward_weights_into(x, dy, out, Some(db), update, workspace)
            }
        }
    }
}

/// One direction of a layer with its operands and the result that it must give.
pub struct Case {
    layer: TimedLayer,
    direction: Direction,
    buffers: Buffers<f32>,
    expected: Tensor4<f64>,
    expected_db: Vec<f64>,
}

/// What was found about one algorithm, timed apart.
pub struct Checked {
    /// What runs; `Auto` has chosen.
    pub plan: Conv2dPlan,
    /// The weights, if they were packed beforehand.
    pub packed: Option<PackedWeights<f32>>,
    /// The scratch memory, grown to what the plan needs.
    pub workspace: Workspace<f32>,
    /// The relative RMS error against f64.
    pub error: f64,
}

impl Case {
    /// Draws the operands, and computes the reference by im2col and GEMM in f64.
    ///
    /// # Errors
    ///
    /// [`ConvError`] if the layer cannot be planned.
    pub fn new(layer: &TimedLayer, direction: Direction) -> Result<Self, ConvError> {
        let options = Options::with_algorithm(Algorithm::Im2colGemm);
        let plan = Conv2dPlan::new(layer.conv, options)?;
        let buffers = Buffers::random(&plan, layer.n, direction)?;
        let mut reference = buffers.to_f64();
        reference.run(&plan, None, direction, &mut Workspace::new())?;
        let Buffers { out: expected, db: expected_db, .. } = reference;
        Ok(Self { layer: layer.clone(), direction, buffers, expected, expected_db })
    }

    /// The layer.
    #[must_use]
    pub fn layer(&self) -> &TimedLayer {
        &self.layer
    }

    /// The direction.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Plans the layer with these options, packs the weights if asked to, runs it once and compares.
    ///
    /// # Errors
    ///
    /// [`ConvError`] if the algorithm cannot serve the layer or the direction.
    pub fn check(&mut self, options: Options, prepacked: bool) -> Result<Checked, ConvError> {
        let plan = Conv2dPlan::new(self.layer.conv, options)?;
        let w = self.buffers.w.view();
        let packed = if prepacked { Some(plan.pack_weights(w)?) } else { None };
        let mut workspace = Workspace::new();
        // What is not written shall be noticed.
        self.buffers.out.fill(f32::NAN);
        self.buffers.db.fill(f32::NAN);
        self.buffers.run(&plan, packed.as_ref(), self.direction, &mut workspace)?;
        let mut error = relative_rms(self.buffers.out.data(), self.expected.data());
        if self.direction == Direction::BackwardWeights {
            // Not `f64::max`, which would drop a NaN.
            let of_db = relative_rms(&self.buffers.db, &self.expected_db);
            error = if error >= of_db || error.is_nan() { error } else { of_db };
        }
        Ok(Checked { plan, packed, workspace, error })
    }

    /// One call of what [`Case::check`] gave: what is timed.
    ///
    /// # Panics
    ///
    /// If `checked` was made by another case.
    pub fn call(&mut self, checked: &mut Checked) {
        let Checked { plan, packed, workspace, .. } = checked;
        let result = self.buffers.run(plan, packed.as_ref(), self.direction, workspace);
        result.expect("it has run before");
        std::hint::black_box(self.buffers.out.data());
    }
}

#[cfg(test)]
mod tests {
    use conv::{Algorithm, Options};

    use super::{Case, Direction};
    use crate::layers::{COLUMNS, parse};

    #[test]
    fn every_algorithm_agrees_with_the_reference_or_says_why_not() {
        let text = format!("{}\nodd,2,4,7,6,6,3,2,2,1,1,0,2,1,1,2,2\n", COLUMNS.join(","));
        let layer = &parse(&text).expect("a table of one layer")[0];
        for direction in Direction::ALL {
            let mut case = Case::new(layer, direction).expect("the layer can be planned");
            for &algorithm in Algorithm::ALL {
                match case.check(Options::with_algorithm(algorithm), true) {
                    Ok(mut checked) => {
                        assert!(checked.error < 4e-6, "{algorithm}: {}", checked.error);
                        case.call(&mut checked);
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            let baseline = case.check(Options::with_algorithm(Algorithm::Im2colGemm), false);
            assert!(baseline.is_ok_and(|checked| checked.error > 0.0), "f32 against itself");
        }
    }

    #[test]
    fn a_wrong_result_is_noticed() {
        let text = format!("{}\na,1,1,4,4,1,3,3,1,1,0,0,0,0,1,1,1\n", COLUMNS.join(","));
        let layer = &parse(&text).expect("a table of one layer")[0];
        let mut case = Case::new(layer, Direction::Forward).expect("the layer can be planned");
        case.expected.data_mut()[3] += 0.1;
        let checked = case
            .check(Options::with_algorithm(Algorithm::Naive), false)
            .expect("naive serves every layer");
        assert!(checked.error > 1e-3, "{}", checked.error);
    }
}
