//! Properties of the IDX reader and of batches, over random files.

mod common;

use std::io::Read;

use common::{gzip, idx1, idx3};
use dataset::{DatasetError, ImageSet, idx};
use proptest::collection::vec;
use proptest::prelude::*;

/// The sizes and the pixels of a small file of images; any size may be 0.
fn small_images() -> impl Strategy<Value = ([u32; 3], Vec<u8>)> {
    (0_u32..6, 0_u32..8, 0_u32..8).prop_flat_map(|(count, rows, cols)| {
        let len = (count * rows * cols) as usize;
        (Just([count, rows, cols]), vec(any::<u8>(), len))
    })
}

fn small_set() -> impl Strategy<Value = ImageSet> {
    (1_usize..6, 1_usize..4, 1_usize..5, 1_usize..5).prop_flat_map(|(n, c, h, w)| {
        (vec(any::<u8>(), n * c * h * w), vec(0_u8..7, n)).prop_map(move |(pixels, labels)| {
            ImageSet::new(pixels, [c, h, w], labels, 7).expect("the sizes agree")
        })
    })
}

/// Hands out a byte at a time, as a slow line may.
struct ByteWise<'a>(&'a [u8]);

impl Read for ByteWise<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

/// Reads `bytes` as either kind of file. Whatever they are, there is an answer.
fn read_both(bytes: &[u8]) {
    match idx::read_images(bytes, "x") {
        Ok(images) => {
            assert_eq!(images.pixels().len(), images.len() * images.rows() * images.cols());
        }
        Err(error) => assert!(error.to_string().starts_with("x: ")),
    }
    match idx::read_labels(bytes, "x") {
        Ok(labels) => assert_eq!(labels.labels().len(), labels.len()),
        Err(error) => assert!(error.to_string().starts_with("x: ")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::cases(256)))]

    #[test]
    fn images_come_back_as_they_were_written((dims, pixels) in small_images()) {
        let plain = idx3(dims, &pixels);
        let packed = gzip(&plain);
        for bytes in [&plain, &packed] {
            let images = idx::read_images(&bytes[..], "x")?;
            prop_assert_eq!([images.len(), images.rows(), images.cols()], dims.map(|d| d as usize));
            prop_assert_eq!(images.pixels(), &pixels[..]);
            prop_assert_eq!(&images, &idx::read_images(ByteWise(bytes), "x")?);
        }
    }

    #[test]
    fn labels_come_back_as_they_were_written(labels in vec(any::<u8>(), 0..50)) {
        let plain = idx1(&labels);
        for bytes in [&plain, &gzip(&plain)] {
            let read = idx::read_labels(&bytes[..], "x")?;
            prop_assert_eq!(read.labels(), &labels[..]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..100), start in 0_usize..6) {
        let starts: [&[u8]; 6] =
            [&[], &[0, 0, 8, 3], &[0, 0, 8, 1], &[0x1f, 0x8b], &[0x1f, 0x8b, 8], &[0, 0]];
        let bytes = [starts[start], &bytes].concat();
        read_both(&bytes);
        read_both(&gzip(&bytes));
    }

    /// Nearly right files reach further into the reader than noise does.
    #[test]
    fn damaged_files_never_panic(
        (dims, pixels) in small_images(),
        packed in any::<bool>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let plain = idx3(dims, &pixels);
        let mut bytes = if packed { gzip(&plain) } else { plain };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_both(&bytes);
        read_both(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn a_batch_is_its_images_over_255(
        set in small_set(),
        picks in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let indices: Vec<usize> = picks.iter().map(|pick| pick.index(set.len())).collect();
        let (x, labels) = set.gather(&indices)?;
        let [c, h, w] = set.image_shape();
        prop_assert_eq!(x.dims(), [indices.len(), c, h, w]);
        for (n, &index) in indices.iter().enumerate() {
            let expected: Vec<f32> = set.image(index).iter().map(|&p| p as f32 / 255.0).collect();
            prop_assert_eq!(x.view().image(n), &expected[..]);
            prop_assert_eq!(labels[n], set.label(index));
        }
    }

    #[test]
    fn a_subset_has_the_images_of_its_range(
        set in small_set(),
        start in 0_usize..8,
        end in 0_usize..8,
    ) {
        match set.subset(start..end) {
            Ok(part) => {
                prop_assert_eq!(part.len(), end - start);
                for i in start..end {
                    prop_assert_eq!(part.image(i - start), set.image(i));
                    prop_assert_eq!(part.label(i - start), set.label(i));
                }
                prop_assert_eq!(part.classes(), set.classes());
            }
            Err(DatasetError::SubsetRange { range, len }) => {
                prop_assert_eq!((range, len), (start..end, set.len()));
                prop_assert!(start > end || end > len);
            }
            Err(error) => panic!("{error:?}"),
        }
        prop_assert_eq!(set.head(end), set.subset(0..end.min(set.len()))?);
    }
}
