//! What people look at: tables, curves and pictures of networks and their training, and a page
//! that holds all of them.
//!
//! Nothing here prints or writes files: pictures are [`Picture`]s (PNG bytes when asked), curves
//! are SVG text, and the page is one string of HTML.
//!
//! ```
//! use net::models::SimpleConvNet;
//! use net::{Rule, TensorSamples, TrainOptions, Trainer};
//! use report::{Confusion, feature_maps, filters_before_and_after, summary_table, verdicts};
//! use tensor4::{Shape4, Tensor4};
//!
//! // Eight images of which the brighter half has the label 1.
//! let images = Tensor4::<f32>::from_fn(Shape4::new(8, 1, 12, 12)?, |n, _, _, _| n as f32 / 8.0);
//! let samples = TensorSamples::new(images.clone(), vec![0, 0, 0, 0, 1, 1, 1, 1])?;
//! let model = SimpleConvNet::default().input(1, 12, 12).outputs(2);
//! let (before, mut after) = (model.build::<f32>(1)?, model.build::<f32>(1)?);
//! let options = TrainOptions::default().epochs(30).batch_size(4);
//! Trainer::new(options, Rule::adam(0.01))?.fit(&mut after, &samples, None, &mut ())?;
//!
//! // The layers as a table.
//! let table = summary_table(after.input_shape(), &after.summary()?);
//! assert!(table.contains("conv 5x5, 30 filters"));
//!
//! // The filters of the first layer before and after training, as the bytes of a PNG.
//! let png = filters_before_and_after(&before, &after)?.to_png();
//! assert!(png.starts_with(b"\x89PNG"));
//!
//! // What the first stage, conv1 and relu1, makes of the last image: 30 maps of 8x8.
//! let maps = feature_maps(&after, images.view().batch(7..8)?, 30)?;
//! assert_eq!((maps[0][0].name.as_str(), maps[0][0].shape), ("conv1 → relu1", [30, 8, 8]));
//!
//! // What was taken for what.
//! let confusion = Confusion::of(&verdicts(&after, &samples, &mut |_| {})?, 2);
//! assert_eq!((confusion.count(0, 0), confusion.count(1, 1)), (4, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
