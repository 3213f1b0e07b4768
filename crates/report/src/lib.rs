//! What people look at: tables, curves and pictures of networks and their training, and a page
//! that holds all of them.
//!
//! Nothing here prints or writes files: pictures are [`Picture`]s (PNG bytes when asked), curves
//! are SVG text, and the page is one string of HTML.

#![forbid(unsafe_code)]

mod blur;
mod channels;
mod chart;
mod error;
mod escape;
mod evaluation;
mod excite;
mod field;
mod filters;
mod maps;
mod maximise;
mod metrics;
mod page;
mod picture;
mod stage;
mod summary;
mod tile;
mod timing;

pub use channels::{ChannelPictures, LayerChannels, layer_channels, pixel_range};
pub use chart::{Axis, Chart, Series};
pub use error::ReportError;
pub use escape::escape;
pub use evaluation::{ClassScore, Confusion, Verdict, gather, ranking, verdicts, worst_mistakes};
pub use excite::{Excitation, Excited, excited};
pub use field::ReceptiveField;
pub use filters::{filter_pictures, filters_before_and_after};
pub use maps::{FeatureMaps, feature_maps};
pub use maximise::{Maximise, Maximised, maximise};
pub use metrics::Metrics;
pub use page::{PAGE_LIMIT, Page, Times};
pub use picture::{Area, Color, Picture, beside, grid};
pub use stage::{Stage, learning_layers, stages};
pub use summary::summary_table;
pub use tile::{Scale, image, plane};
pub use timing::layer_times;

/// The pieces of the text, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-the-text.md")]
struct FromTheText;
