//! Which code runs a forward pass.

use tensor4::{View4, ViewMut4};

use crate::call::{Call, relu_in_place};
use crate::out::Out;
use crate::{Algorithm, Conv2dPlan, ConvScalar, Workspace};
use crate::{direct, im2col_gemm, lanes, naive, winograd};

impl Conv2dPlan {
    /// A forward pass that does not pool; the arguments have been checked.
    pub(crate) fn run_forward<T: ConvScalar>(
        &self,
        call: &Call<'_, T>,
        y: ViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        match self.algorithm_for::<T>() {
            Algorithm::Naive => {
                let w = View4::new(self.weight_shape(), call.plain()).expect("checked before");
                let mut y = y;
                naive::forward(self, call.x, w, call.bias, y.reborrow());
                if call.relu() {
                    relu_in_place(y.data_mut());
                }
            }
            Algorithm::Direct | Algorithm::Winograd | Algorithm::Depthwise => {
                self.run_vectorised(call, Out::new(y.into_data()), workspace);
            }
            Algorithm::Im2colGemm | Algorithm::Auto => {
                im2col_gemm::forward(self, call, y, workspace);
            }
        }
    }

    /// A forward pass by kernels of our own, which may end in a pool.
    pub(crate) fn run_vectorised<T: ConvScalar>(
        &self,
        call: &Call<'_, T>,
        out: Out<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let kernels = self.kernels();
        match self.algorithm() {
            _ if call.few => direct::forward(self, kernels, call, out, workspace),
            Algorithm::Winograd => winograd::forward(self, kernels, call, out, workspace),
            Algorithm::Depthwise => lanes::forward(self, kernels, call, out, workspace),
            _ => direct::forward(self, kernels, call, out, workspace),
        }
    }
}
