//! A plan in words.

use crate::{Algorithm, Conv2d, Conv2dPlan, im2col_gemm};

impl Conv2dPlan {
    /// What runs and why, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let Conv2d { in_channels, in_h, in_w, out_channels, window, groups } = self.desc;
        let mut text = format!(
            "{} ({}) on {}: ({in_channels}, {in_h}, {in_w}) -> ({out_channels}, {}, {}), kernel {}x{}, \
             groups {groups}",
            self.algorithm(),
            self.reason,
            self.kernels,
            self.group.out_h(),
            self.group.out_w(),
            window.kernel_h,
            window.kernel_w,
        );
        if let Some(form) = self.winograd_form() {
            text += &format!("; as {}", form.name());
        }
        if self.algorithm() == Algorithm::Im2colGemm {
            text += &format!("; {}", im2col_gemm::describe(self));
        }
        text + &format!("; backward by the data: {}", self.describe_data_gradient())
    }
}
