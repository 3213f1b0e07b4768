//! The one error type of this crate.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use tensor4::{Shape4, TensorError};

/// What can go wrong when a data set is read or used.
///
/// `path` is the file, or the name that the caller gave to a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused a file, or a stream failed.
    #[error("{}: cannot {operation}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done: "open", "read", ….
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The gzip stream around a file is damaged: not deflate, a wrong checksum, or rubbish after it.
    #[error("{}: the gzip stream is damaged, found after {unpacked} unpacked bytes", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// How many bytes could be unpacked before the damage was found.
        unpacked: u64,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The file ends before its header, or the data that its header announces, is complete.
    #[error("{}: cut off: expected {expected} bytes ({content}), found {actual}", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What should have been there, as "a header and 60000 x 28 x 28".
        content: String,
        /// The bytes that needs, from the start of the (unpacked) file.
        expected: u64,
        /// The bytes there are.
        actual: u64,
    },
    /// The file goes on after the data that its header announces.
    #[error(
        "{}: trailing bytes: expected {expected} bytes ({content}), the file goes on",
        path.display()
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// What the header announces.
        content: String,
        /// The bytes that needs, from the start of the (unpacked) file.
        expected: u64,
    },
    /// The file does not begin as an IDX file does.
    #[error(
        "{}: not an IDX file: it begins with {actual:#010x}, expected {expected:#010x}",
        path.display()
    )]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// The magic number of the file that was asked for.
        expected: u32,
        /// The first four bytes, big-endian.
        actual: u32,
    },
    /// An IDX file of other elements than unsigned bytes.
    #[error(
        "{}: the elements are {name} (IDX type {code:#04x}), only unsigned bytes (0x08) are read",
        path.display()
    )]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The IDX code of the type.
        code: u8,
        /// What it stands for.
        name: &'static str,
    },
    /// An IDX file with another number of dimensions: labels where images are expected, say.
    #[error(
        "{}: the file has {actual} dimension(s), {kind} have {expected}",
        path.display()
    )]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// What was to be read: "images" or "labels".
        kind: &'static str,
        /// How many dimensions those have.
        expected: u8,
        /// How many the file has.
        actual: u8,
    },
    /// The header announces more data than this crate reads.
    #[error(
        "{}: too large: the header announces {} bytes, at most {max} are read",
        path.display(),
        join(dims, " x ")
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The sizes in the header.
        dims: Vec<u32>,
        /// The largest number of bytes that is read.
        max: u64,
    },
    /// Images and labels that do not belong together.
    #[error(
        "the counts differ: {} holds {images} images, {} holds {labels} labels",
        images_path.display(),
        labels_path.display()
    )]
    CountsDiffer {
        /// The file of images.
        images_path: PathBuf,
        /// How many there are.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// How many there are.
        labels: usize,
    },
    /// The training and the test images have different shapes.
    #[error(
        "{}: the training images are {} x {} pixels, the test images {} x {}",
        path.display(), train[0], train[1], test[0], test[1]
    )]
    PartsDiffer {
        /// The folder of both.
        path: PathBuf,
        /// Rows and columns of a training image.
        train: [usize; 2],
        /// Rows and columns of a test image.
        test: [usize; 2],
    },
    /// A label that is none of the classes.
    #[error(
        "{}: label {label} of image {index} is not below the number of classes, {classes}",
        path.display()
    )]
    LabelRange {
        /// The file, or "ImageSet::new".
        path: PathBuf,
        /// Which label.
        index: usize,
        /// Its value.
        label: u8,
        /// The number of classes.
        classes: usize,
    },
    /// More classes than a label, which is a byte, can tell apart.
    #[error("an image set has at most {max} classes, not {classes}: a label is a byte")]
    ClassCount {
        /// The number of classes asked for.
        classes: usize,
        /// The largest possible.
        max: usize,
    },
    /// A folder has none of the files that were looked for.
    #[error("{}: the folder has none of {}", folder.display(), join(names, ", "))]
    NotFound {
        /// The folder.
        folder: PathBuf,
        /// The names that would have done, in the order of preference.
        names: Vec<String>,
    },
    /// A buffer of pixels has another length than the images need.
    #[error(
        "ImageSet::new: {labels} images of shape {image_shape:?} need {expected} pixels, \
         the buffer has {actual}"
    )]
    PixelCount {
        /// How many labels, hence images, there are.
        labels: usize,
        /// Channels, rows, columns of an image.
        image_shape: [usize; 3],
        /// The pixels those need.
        expected: usize,
        /// The pixels there are.
        actual: usize,
    },
    /// A range of images reaches beyond the set, or runs backwards.
    #[error(
        "subset: the images {}..{} do not lie within a set of {len}",
        range.start, range.end
    )]
    SubsetRange {
        /// The range asked for.
        range: Range<usize>,
        /// How many images there are.
        len: usize,
    },
    /// The index of an image that is not in the set.
    #[error("gather: index {index}, at position {position}, is not within a set of {len} images")]
    IndexRange {
        /// Where in the list of indices it stands.
        position: usize,
        /// The index.
        index: usize,
        /// How many images there are.
        len: usize,
    },
    /// The tensor for a batch has another shape than the batch.
    #[error("gather: the batch has the shape {expected}, the output {actual}")]
    OutputShape {
        /// The shape of the batch.
        expected: Shape4,
        /// The shape of the tensor.
        actual: Shape4,
    },
    /// The buffer for the labels of a batch has another length than the batch.
    #[error("gather: the batch has {expected} labels, the buffer has room for {actual}")]
    LabelsLength {
        /// How many images are gathered.
        expected: usize,
        /// How many labels fit.
        actual: usize,
    },
    /// The sizes of an augmentation don't fit the images.
    #[error(
        "augmentation: {what} of {pixels} pixels does not fit images of {} x {}; at most {max} do",
        image[0], image[1]
    )]
    Augmentation {
        /// "a shift" or "a padding".
        what: &'static str,
        /// What was asked for.
        pixels: usize,
        /// Rows and columns of an image.
        image: [usize; 2],
        /// The largest that fits.
        max: usize,
    },
    /// A mean or a deviation for another number of channels than the images have.
    #[error(
        "normalisation: {means} means and {deviations} deviations, the images have {channels} channel(s)"
    )]
    NormalizationChannels {
        /// How many means there are.
        means: usize,
        /// How many standard deviations there are.
        deviations: usize,
        /// The channels of an image.
        channels: usize,
    },
    /// A mean that is not finite, or a standard deviation that nothing can be divided by.
    #[error(
        "normalisation: channel {channel} has mean {mean} and standard deviation {std}; the mean \
         must be finite, the deviation finite and above 0"
    )]
    NormalizationValue {
        /// Which channel.
        channel: usize,
        /// Its mean.
        mean: f32,
        /// Its standard deviation.
        std: f32,
    },
    /// Another number of class names than of classes.
    #[error("{names} class names for {classes} classes")]
    ClassNameCount {
        /// The number of classes.
        classes: usize,
        /// The number of names.
        names: usize,
    },
    /// A folder that should hold one folder per class has none.
    #[error(
        "{}: no class folders; expected one folder per class, with png or jpeg files in it",
        folder.display()
    )]
    NoClasses {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder of a class has no image.
    #[error("{}: no png or jpeg file in this class folder", folder.display())]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// The folders for training and for testing have different classes.
    #[error(
        "{}: the class folders are {}, those to train with are {}",
        folder.display(), join(test, ", "), join(train, ", ")
    )]
    ClassesDiffer {
        /// The folder of the test images.
        folder: PathBuf,
        /// The classes to train with.
        train: Vec<String>,
        /// The classes to test with.
        test: Vec<String>,
    },
    /// A class has too few images for one to be kept for the test.
    #[error(
        "{}: class {class} has one image only; at least 2 are needed, one of them for the test",
        folder.display()
    )]
    TooFewImages {
        /// The folder of all classes.
        folder: PathBuf,
        /// The class.
        class: String,
    },
    /// A picture is damaged, or neither png nor jpeg.
    #[error("{}: not a readable png or jpeg image: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A picture has more rows or columns, or more pixels, than are read.
    #[error(
        "{}: {width} x {height} pixels; at most {max_side} a side and {max_pixels} in all are read",
        path.display()
    )]
    ImageTooLarge {
        /// The file.
        path: PathBuf,
        /// Its columns.
        width: u32,
        /// Its rows.
        height: u32,
        /// The largest number of rows or columns.
        max_side: u32,
        /// The largest number of pixels.
        max_pixels: u64,
    },
    /// A folder of pictures with sizes that can't be.
    #[error(
        "image folder: pictures can't be resized to {resize} pixels at the shorter side and cropped \
         to {} x {}: sizes run from 1 to {max}, and the crop must lie within the picture",
        size[0], size[1]
    )]
    FolderSize {
        /// Rows and columns of the crop.
        size: [usize; 2],
        /// The shorter side before the crop.
        resize: usize,
        /// The largest size.
        max: usize,
    },
    /// A set would have more pixels than are kept in memory.
    #[error("{}: {images} images of {image_len} bytes each; at most {max} bytes are read", path.display())]
    SetTooLarge {
        /// The folder or file.
        path: PathBuf,
        /// How many images there are at least.
        images: usize,
        /// The bytes of one.
        image_len: usize,
        /// The largest number of bytes.
        max: u64,
    },
    /// An archive is damaged, or not a tar archive.
    #[error("{}: the tar archive is damaged: {source}", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// An archive lacks a file, or has it more than once.
    #[error("{}: the archive has {count} files {name}, expected one", path.display())]
    ArchiveFile {
        /// The archive.
        path: PathBuf,
        /// The file in it.
        name: &'static str,
        /// How often it was found.
        count: usize,
    },
    /// A set or a batch has more pixels than can be addressed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn join<T: ToString>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}
