//! How the learning rate changes over a training.

/// How the learning rate changes over the training.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// It falls in a straight line, from that of the rule at the first step to 0 after the last.
    Linear,
    /// It is multiplied by `factor` after every so many epochs.
    Step {
        /// How many epochs it stays as it is; at least 1.
        epochs: usize,
        /// What it is then multiplied by; above 0.
        factor: f64,
    },
    /// It falls along half a period of the cosine, `(1 + cos(pi t)) / 2` where `t` runs from 0 at
    /// the first step to 1 after the last. Loshchilov and Hutter, "SGDR", 2016, without restarts.
    Cosine,
}

impl Schedule {
    /// The name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Step { .. } => "step",
            Self::Cosine => "cosine",
        }
    }

    /// What the learning rate is multiplied by after `done` of so many steps, of which an epoch has
    /// `per_epoch`.
    pub(crate) fn factor(self, done: u64, steps: u64, per_epoch: u64) -> f64 {
        let part = done as f64 / steps.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => steps.saturating_sub(done) as f64 / steps.max(1) as f64,
            Self::Step { epochs, factor } => {
                let every = (epochs as u64).saturating_mul(per_epoch).max(1);
                factor.powf((done / every) as f64)
            }
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * part.min(1.0)).cos()),
        }
    }

    /// Whether its numbers make sense.
    pub(crate) fn validate(self) -> Result<(), crate::NetError> {
        let Self::Step { epochs, factor } = self else { return Ok(()) };
        if epochs == 0 {
            let (setting, allowed) = ("the epochs of a step schedule", "at least 1 would fit");
            return Err(crate::NetError::Setting { setting, value: 0.0, allowed });
        }
        if factor > 0.0 && factor.is_finite() {
            return Ok(());
        }
        let (setting, allowed) = ("the factor of a step schedule", "a number above 0 would fit");
        Err(crate::NetError::Setting { setting, value: factor, allowed })
    }
}
