//! The data set of a run, as the trainer reads it.

use std::path::Path;

use dataset::image_folder::FolderOptions;
use dataset::{Augmentation, ImageSet, Loader, Normalization};
use net::{Checkpoint, Control, EpochReport, NetError, Observer, Samples, Sequential, StepReport};
use tensor4::{Shape4, ViewMut4};

use crate::args::SourceArgs;
use crate::data;
use crate::failure::Failure;

/// The images to train on and those to test with.
pub(crate) struct Data {
    pub(crate) train: Images,
    pub(crate) test: Images,
    /// Where they come from, for people.
    pub(crate) source: String,
    /// What has been done to the pixels of both, if anything.
    pub(crate) normalization: Option<Normalization>,
}

impl Data {
    /// Reads the data set that was asked for, or the bundled MNIST.
    pub(crate) fn load(args: &SourceArgs) -> Result<Self, Failure> {
        Self::read(args.data.as_deref(), &args.pictures.options(), args.normalize)
    }

    /// Reads the data set of a name or a path, or the bundled MNIST.
    pub(crate) fn read(
        data: Option<&Path>,
        pictures: &FolderOptions,
        normalize: bool,
    ) -> Result<Self, Failure> {
        let (set, source) = data::resolve(data, pictures)?;
        let (mut train, mut test) = (Loader::new(set.train), Loader::new(set.test));
        let mut normalization = None;
        if normalize {
            let found = Normalization::of(train.set())?;
            train = train.with_normalization(found.clone())?;
            test = test.with_normalization(found.clone())?;
            normalization = Some(found);
        }
        Ok(Self { train: Images(train), test: Images(test), source, normalization })
    }
}

/// Images in memory, a byte per pixel.
pub(crate) struct Images(Loader);

impl Images {
    /// The first so many.
    pub(crate) fn head(self, images: usize) -> Self {
        Self(self.0.map_set(|set| set.head(images)))
    }

    /// Changes them at random from now on, as in the first epoch.
    pub(crate) fn augment(self, by: Augmentation, seed: u64) -> Result<Self, Failure> {
        let images = Self(self.0.with_augmentation(by, seed)?);
        images.begin_after(0);
        Ok(images)
    }

    /// Changes them as in the epoch after so many.
    pub(crate) fn begin_after(&self, epochs: usize) {
        self.0.set_epoch(epochs as u64 + 1);
    }

    pub(crate) fn classes(&self) -> usize {
        self.set().classes()
    }

    /// The names of the classes; none where they are numbers.
    pub(crate) fn class_names(&self) -> &[String] {
        self.set().class_names()
    }

    /// Channels, rows and columns.
    pub(crate) fn dims(&self) -> [usize; 3] {
        self.set().image_shape()
    }

    fn set(&self) -> &ImageSet {
        self.0.set()
    }
}

impl Samples<f32> for Images {
    fn len(&self) -> usize {
        self.set().len()
    }

    fn image_shape(&self) -> Shape4 {
        let [channels, height, width] = self.dims();
        Shape4::new(1, channels, height, width).expect("the images are in memory")
    }

    fn gather(
        &self,
        indices: &[usize],
        x: ViewMut4<'_, f32>,
        labels: &mut [usize],
    ) -> Result<(), NetError> {
        self.0
            .gather_into(indices, x, labels)
            .map_err(|e| NetError::Samples { message: e.to_string() })
    }
}

/// An observer that also tells the images which epoch comes next.
pub(crate) struct CountEpochs<'a, O> {
    pub(crate) observer: &'a mut O,
    pub(crate) images: &'a Images,
}

impl<O: Observer<f32>> Observer<f32> for CountEpochs<'_, O> {
    fn on_step(&mut self, report: &StepReport) -> Control {
        self.observer.on_step(report)
    }

    fn on_epoch(
        &mut self,
        report: &EpochReport,
        net: &Sequential<f32>,
    ) -> Result<Control, NetError> {
        self.images.begin_after(report.epoch);
        self.observer.on_epoch(report, net)
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint<'_, f32>) -> Result<(), NetError> {
        self.observer.on_checkpoint(checkpoint)
    }
}
