//! A bar for work that takes longer than a moment.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if that is a terminal and `quiet` is not set. It goes away when it is
/// dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// For work of so many parts.
    pub(crate) fn new(what: &str, parts: usize, quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(10)
        };
        let bar = ProgressBar::with_draw_target(Some(parts as u64), target);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {eta} left");
        bar.set_style(style.expect("the template is valid").progress_chars("━━─"));
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// So many parts are done.
    pub(crate) fn done(&self, parts: usize) {
        self.0.set_position(parts as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
