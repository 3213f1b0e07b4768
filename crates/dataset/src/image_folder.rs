//! Folders of pictures: one folder per class, png and jpeg files in each.
//!
//! The classes are the names of the folders, sorted; within a class pictures are sorted by name.
//! Files and folders whose name begins with a dot are passed over, and so is everything that is
//! not called `.png`, `.jpg` or `.jpeg`. What a file is, is told by its content.
//!
//! A picture is turned as its EXIF data says, loses its transparency, is resized so that its
//! shorter side has [`FolderOptions::resize`] pixels (with a triangle filter that is as wide as a
//! pixel of the smaller picture, hence without aliasing), and its centre is cut out.

use std::fs;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::{Dataset, DatasetError, ImageSet, idx};

/// The largest number of rows or columns of a picture.
pub const MAX_SIDE: u32 = 1 << 15;

/// The largest number of pixels of a picture.
pub const MAX_PIXELS: u64 = 100_000_000;

/// The largest number of bytes that decoding a picture may take.
const MAX_DECODER_MEMORY: u64 = 8 * MAX_PIXELS;

/// The largest crop, in rows or columns.
const MAX_SIZE: usize = 4096;

/// How pictures become images of one shape.
///
/// ```
/// use dataset::image_folder::FolderOptions;
///
/// // As is usual for ImageNet: the shorter side to 256, then the centre.
/// let options = FolderOptions::new(224, 224).resize(256);
/// assert_eq!(options.image_shape(), [3, 224, 224]);
/// assert_eq!(FolderOptions::new(28, 28).grey().image_shape(), [1, 28, 28]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderOptions {
    size: [usize; 2],
    resize: Option<usize>,
    grey: bool,
}

impl FolderOptions {
    /// Images of `height` by `width` pixels in three colours, as large a part of the picture as
    /// fits that shape.
    #[must_use]
    pub const fn new(height: usize, width: usize) -> Self {
        Self { size: [height, width], resize: None, grey: false }
    }

    /// Resizes the shorter side of a picture to so many pixels before the centre is cut out. Not
    /// below the larger side of the crop.
    #[must_use]
    pub const fn resize(self, shorter_side: usize) -> Self {
        Self { resize: Some(shorter_side), ..self }
    }

    /// One channel, the luminance, instead of three.
    #[must_use]
    pub const fn grey(self) -> Self {
        Self { grey: true, ..self }
    }

    /// Channels, rows and columns of an image.
    #[must_use]
    pub const fn image_shape(&self) -> [usize; 3] {
        [if self.grey { 1 } else { 3 }, self.size[0], self.size[1]]
    }

    fn check(&self) -> Result<(), DatasetError> {
        let [height, width] = self.size;
        let resize = self.resize.unwrap_or(height.max(width));
        let possible = (1..=MAX_SIZE).contains(&height) && (1..=MAX_SIZE).contains(&width);
        if !possible || !(height.max(width)..=MAX_SIZE).contains(&resize) {
            return Err(DatasetError::FolderSize { size: self.size, resize, max: MAX_SIZE });
        }
        Ok(())
    }

    /// Rows and columns of the part of a picture of `height` by `width` that becomes the image.
    /// Cut out before it is resized: a long narrow picture is never enlarged as a whole.
    fn part(&self, height: u32, width: u32) -> [u32; 2] {
        let [rows, cols] = self.size.map(|size| size as f64);
        let (height, width) = (f64::from(height), f64::from(width));
        let scale = match self.resize {
            Some(shorter) => height.min(width) / shorter as f64,
            None => (height / rows).min(width / cols),
        };
        [(rows * scale, height), (cols * scale, width)]
            .map(|(part, whole)| part.round().clamp(1.0, whole) as u32)
    }
}

/// Pictures to train and to test with. If `folder` has a folder `train` and one called `test` or
/// `val`, those hold the class folders. Otherwise `folder` itself holds them, and every fifth
/// picture of each class, at least one, is kept for the test.
///
/// # Errors
///
/// As [`load`]; [`DatasetError::ClassesDiffer`] if the classes of the two folders differ;
/// [`DatasetError::TooFewImages`] if a class to be split has one picture only.
pub fn from_folder(
    folder: impl AsRef<Path>,
    options: &FolderOptions,
) -> Result<Dataset, DatasetError> {
    let folder = folder.as_ref();
    options.check()?;
    let train = folder.join("train");
    let test = ["test", "val"].map(|name| folder.join(name)).into_iter().find(|path| path.is_dir());
    let (train, test) = match test {
        Some(test) if train.is_dir() => {
            let (train, at_test) = (list(&train, options)?, list(&test, options)?);
            if train.classes != at_test.classes {
                let (train, test_classes) = (train.classes, at_test.classes);
                return Err(DatasetError::ClassesDiffer {
                    folder: test,
                    train,
                    test: test_classes,
                });
            }
            (train, at_test)
        }
        _ => list(folder, options)?.split(folder)?,
    };
    Ok(Dataset { train: train.read(options)?, test: test.read(options)? })
}

/// All pictures of a folder of class folders, as one set, a class after the other.
///
/// # Errors
///
/// [`DatasetError::FolderSize`] if the options can't be;
/// [`DatasetError::NoClasses`] or [`DatasetError::NoImages`] if there is nothing to read;
/// [`DatasetError::ClassCount`] if there are more than 256 classes;
/// [`DatasetError::SetTooLarge`] if the images would take more than [`idx::MAX_DATA_LEN`] bytes;
/// [`DatasetError::Image`] if a picture is damaged; [`DatasetError::ImageTooLarge`] if it exceeds
/// [`MAX_SIDE`] or [`MAX_PIXELS`]; [`DatasetError::Io`] if a folder or a file cannot be read.
pub fn load(folder: impl AsRef<Path>, options: &FolderOptions) -> Result<ImageSet, DatasetError> {
    options.check()?;
    list(folder.as_ref(), options)?.read(options)
}

/// Reads one picture as an image: its pixels, (C, H, W), in the shape that the options say.
///
/// # Errors
///
/// As [`load`], for this file.
pub fn load_image(
    path: impl AsRef<Path>,
    options: &FolderOptions,
) -> Result<Vec<u8>, DatasetError> {
    let path = path.as_ref();
    read_image(BufReader::new(crate::open(path)?), path, options)
}

/// Reads one picture from a stream; `name` is what errors call it.
///
/// # Errors
///
/// As [`load`], for this picture.
pub fn read_image(
    reader: impl BufRead + Seek,
    name: impl AsRef<Path>,
    options: &FolderOptions,
) -> Result<Vec<u8>, DatasetError> {
    options.check()?;
    let mut pixels = Vec::new();
    fit(decode(reader, name)?, options, &mut pixels);
    Ok(pixels)
}

/// The files of a set, each with its class.
struct Listing {
    classes: Vec<String>,
    files: Vec<(PathBuf, u8)>,
}

impl Listing {
    /// Keeps every fifth file of each class for the test; one of them if there are fewer.
    fn split(self, folder: &Path) -> Result<(Self, Self), DatasetError> {
        let classes = self.classes;
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for of_class in self.files.chunk_by(|(_, one), (_, other)| one == other) {
            if let [(_, label)] = of_class {
                let class = classes[usize::from(*label)].clone();
                return Err(DatasetError::TooFewImages { folder: folder.to_owned(), class });
            }
            let every = of_class.len().min(5);
            for (i, file) in of_class.iter().enumerate() {
                let to = if i % every == every - 1 { &mut test } else { &mut train };
                to.push(file.clone());
            }
        }
        Ok((Self { classes: classes.clone(), files: train }, Self { classes, files: test }))
    }

    /// Memory grows with the images that could be read.
    fn read(self, options: &FolderOptions) -> Result<ImageSet, DatasetError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::with_capacity(self.files.len()));
        for (path, label) in &self.files {
            let picture = decode(BufReader::new(crate::open(path)?), path)?;
            fit(picture, options, &mut pixels);
            labels.push(*label);
        }
        ImageSet::new(pixels, options.image_shape(), labels, self.classes.len())?
            .with_class_names(self.classes)
    }
}

fn list(folder: &Path, options: &FolderOptions) -> Result<Listing, DatasetError> {
    let class_folders = entries(folder, Path::is_dir)?;
    if class_folders.is_empty() {
        return Err(DatasetError::NoClasses { folder: folder.to_owned() });
    }
    let max = usize::from(u8::MAX) + 1;
    if class_folders.len() > max {
        return Err(DatasetError::ClassCount { classes: class_folders.len(), max });
    }
    let mut listing = Listing { classes: Vec::new(), files: Vec::new() };
    for (label, class_folder) in (0..=u8::MAX).zip(class_folders) {
        let files = entries(&class_folder, is_picture)?;
        if files.is_empty() {
            return Err(DatasetError::NoImages { folder: class_folder });
        }
        listing.files.extend(files.into_iter().map(|file| (file, label)));
        listing.classes.push(name(&class_folder));
    }
    let (images, image_len) = (listing.files.len(), options.image_shape().iter().product());
    let max = idx::MAX_DATA_LEN;
    if images as u64 > max / image_len as u64 {
        return Err(DatasetError::SetTooLarge { path: folder.to_owned(), images, image_len, max });
    }
    Ok(listing)
}

/// What stands in a folder, sorted by name.
fn entries(folder: &Path, wanted: fn(&Path) -> bool) -> Result<Vec<PathBuf>, DatasetError> {
    let failed =
        |source| DatasetError::Io { path: folder.to_owned(), operation: "read the folder", source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !name(&path).starts_with('.') && wanted(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg"].iter().any(|known| extension == *known) && path.is_file()
}

/// Appends the pixels of one picture as an image, (C, H, W).
fn fit(picture: DynamicImage, options: &FolderOptions, to: &mut Vec<u8>) {
    let (height, width) = (picture.height(), picture.width());
    let [rows, cols] = options.part(height, width);
    let picture = picture.crop_imm((width - cols) / 2, (height - rows) / 2, cols, rows);
    let [height, width] = options.size;
    let (new_width, new_height) = (width as u32, height as u32);
    let resized = |picture: DynamicImage| {
        if (rows, cols) == (new_height, new_width) {
            picture
        } else {
            picture.resize_exact(new_width, new_height, FilterType::Triangle)
        }
    };
    if options.grey {
        to.extend(resized(picture.into_luma8().into()).into_luma8().into_raw());
    } else {
        let pixels = resized(picture.into_rgb8().into()).into_rgb8().into_raw();
        for channel in 0..3 {
            to.extend(pixels.iter().skip(channel).step_by(3));
        }
    }
}

/// Decodes one picture from a stream, turned as its EXIF data says; `name` is what errors call it.
/// The sizes that it announces are looked at before anything of its size is allocated.
///
/// # Errors
///
/// As [`load`], for this picture.
pub fn decode(
    reader: impl BufRead + Seek,
    name: impl AsRef<Path>,
) -> Result<DynamicImage, DatasetError> {
    let path = name.as_ref();
    let damaged = |error: ImageError| match error {
        ImageError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            crate::read_error(path, source)
        }
        error => DatasetError::Image { path: path.to_owned(), source: Box::new(error) },
    };
    let mut reader =
        ImageReader::new(reader).with_guessed_format().map_err(|e| crate::read_error(path, e))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    // Before anything of the size of the picture is allocated.
    let (width, height) = decoder.dimensions();
    let too_large =
        width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS;
    if too_large || width == 0 || height == 0 {
        let (max_side, max_pixels) = (MAX_SIDE, MAX_PIXELS);
        let path = path.to_owned();
        return Err(DatasetError::ImageTooLarge { path, width, height, max_side, max_pixels });
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}
