//! Batches that are normalised and changed at random.

use dataset::{Augmentation, Border, DatasetError, ImageSet, Loader, Normalization};
use proptest::prelude::*;
use tensor4::{Shape4, Tensor4};

/// `len` images of `shape`, each pixel a different one as far as bytes allow.
fn set(len: usize, shape: [usize; 3]) -> ImageSet {
    let pixels = (0..len * shape.iter().product::<usize>()).map(|i| (i * 7 % 251) as u8).collect();
    let labels = (0..len).map(|i| (i % 3) as u8).collect();
    ImageSet::new(pixels, shape, labels, 3).expect("it fits")
}

fn gather(loader: &Loader, indices: &[usize]) -> (Vec<f32>, Vec<usize>) {
    let [c, h, w] = loader.set().image_shape();
    let mut out = Tensor4::zeros(Shape4::new(indices.len(), c, h, w).expect("it fits"));
    let mut labels = vec![9; indices.len()];
    loader.gather_into(indices, out.view_mut(), &mut labels).expect("the indices are in range");
    (out.data().to_vec(), labels)
}

#[test]
fn without_options_a_loader_gathers_as_the_set_does() -> Result<(), DatasetError> {
    let set = set(4, [3, 5, 6]);
    let (x, labels) = set.gather(&[3, 0, 3])?;
    assert_eq!(gather(&Loader::new(set), &[3, 0, 3]), (x.data().to_vec(), labels));
    Ok(())
}

#[test]
fn normalised_channels_have_mean_0_and_deviation_1() -> Result<(), DatasetError> {
    let set = set(10, [3, 5, 6]);
    let loader = Loader::new(set.clone()).with_normalization(Normalization::of(&set)?)?;
    let (x, _) = gather(&loader, &(0..10).collect::<Vec<_>>());
    for channel in 0..3 {
        let values: Vec<f64> = (0..10)
            .flat_map(|i| &x[(3 * i + channel) * 30..][..30])
            .map(|x| f64::from(*x))
            .collect();
        let mean = values.iter().sum::<f64>() / 300.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 300.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<(), DatasetError> {
    let one = || Loader::new(set(1, [1, 4, 6]));
    let error = one().with_normalization(Normalization::new(vec![0.5; 3], vec![0.5; 3])?);
    assert!(
        matches!(
            error,
            Err(DatasetError::NormalizationChannels { means: 3, deviations: 3, channels: 1 })
        ),
        "{error:?}"
    );
    for (mean, std) in [(f32::NAN, 1.0), (0.0, 0.0), (0.0, f32::INFINITY), (0.0, -1.0)] {
        let error = Normalization::new(vec![mean], vec![std]).expect_err("no such channel");
        assert!(matches!(error, DatasetError::NormalizationValue { channel: 0, .. }), "{error:?}");
    }
    assert!(Normalization::new(vec![0.0], vec![]).is_err());
    assert!(Normalization::of(&ImageSet::new(vec![5; 4], [1, 2, 2], vec![0], 1)?).is_err());
    assert!(Normalization::of(&ImageSet::new(vec![], [1, 2, 2], vec![], 1)?).is_err());
    let none = Augmentation::none();
    for (augmentation, fits) in [
        (none.shift(4), true),
        (none.shift(5), false),
        (none.crop(4, Border::Constant), true),
        (none.crop(4, Border::Replicate), true),
        (none.crop(4, Border::Reflect), false),
        (none.crop(3, Border::Reflect), true),
        (none.crop(usize::MAX, Border::Constant), false),
    ] {
        assert_eq!(one().with_augmentation(augmentation, 0).is_ok(), fits, "{augmentation:?}");
    }
    Ok(())
}

#[test]
fn each_change_draws_for_itself() -> Result<(), DatasetError> {
    let shape = [1, 1, 8];
    let image: Vec<u8> = (1..9).collect();
    let shown = |augmentation: Augmentation, epoch| {
        let mut out = vec![0; 8];
        augmentation.apply(&image, shape, [1, epoch, 2], &mut out).map(|()| out)
    };
    let (mut flips, mut crops) = (0, 0);
    let none = Augmentation::none();
    for epoch in 0..200 {
        let flipped = shown(none.flip(), epoch)?;
        let turned: Vec<u8> = image.iter().rev().copied().collect();
        assert!(flipped == image || flipped == turned);
        flips += usize::from(flipped == turned);
        // Rows can't move: their padding is as large as that of columns, the image is one row.
        let cropped = shown(none.crop(1, Border::Replicate), epoch)?;
        let both = shown(none.flip().crop(1, Border::Replicate), epoch)?;
        crops += usize::from(cropped != image);
        let expected: Vec<u8> = if flipped == turned {
            // The crop of the flipped image, hence at the same place.
            let at = |i: usize| cropped[i];
            (0..8).map(|i| 9 - at(i)).collect()
        } else {
            cropped
        };
        assert_eq!(both, expected, "{epoch}");
    }
    assert!((70..130).contains(&flips) && (100..165).contains(&crops), "{flips} {crops}");
    Ok(())
}

#[test]
fn the_fill_comes_in_where_the_image_moves_out() -> Result<(), DatasetError> {
    let augmentation = Augmentation::none().shift(1).fill(255);
    let mut moved = 0;
    for index in 0..50 {
        let mut out = vec![0; 9];
        augmentation.apply(&[7; 9], [1, 3, 3], [0, 0, index], &mut out)?;
        let filled = out.iter().filter(|&&pixel| pixel == 255).count();
        // Not moved, moved along one side, or along both.
        assert!([0, 3, 5].contains(&filled), "{out:?}");
        moved += usize::from(filled > 0);
    }
    assert!(moved > 30, "{moved}");
    Ok(())
}

proptest! {
    /// What an image becomes depends on seed, epoch and index alone: not on the batch, nor on who
    /// gathers at the same time, nor on what was gathered before.
    #[test]
    fn changes_follow_from_seed_epoch_and_index(
        seed in any::<u64>(),
        epoch in any::<u64>(),
        padding in 0_usize..5,
        shift in 0_usize..5,
        border in prop_oneof![
            Just(Border::Constant), Just(Border::Reflect), Just(Border::Replicate)
        ],
    ) {
        let shape = [2, 6, 5];
        let augmentation = Augmentation::none().flip().shift(shift).crop(padding.min(4), border);
        let loader = Loader::new(set(7, shape)).with_augmentation(augmentation, seed)?;
        loader.set_epoch(epoch);
        let (all, labels) = gather(&loader, &[0, 1, 2, 3, 4, 5, 6]);
        let (other, other_labels) = std::thread::scope(|scope| {
            let gatherer = scope.spawn(|| gather(&loader, &[6, 2, 2]));
            gather(&loader, &[1]);
            gatherer.join().expect("gathering does not panic")
        });
        prop_assert_eq!(&other_labels, &[labels[6], labels[2], labels[2]]);
        for (position, index) in [6_usize, 2, 2].into_iter().enumerate() {
            prop_assert_eq!(&other[position * 60..][..60], &all[index * 60..][..60]);
            let mut pixels = vec![0; 60];
            let place = [seed, epoch, index as u64];
            augmentation.apply(loader.set().image(index), shape, place, &mut pixels)?;
            let scaled: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
            prop_assert_eq!(&other[position * 60..][..60], &scaled[..]);
        }
    }

    /// Without a fill, every pixel of the result is one of the same channel.
    #[test]
    fn channels_stay_apart(place in any::<[u64; 3]>(), padding in 0_usize..4) {
        let image: Vec<u8> = (0..50).map(|i| if i < 25 { 100 + i } else { 200 + i - 25 }).collect();
        let mut out = vec![0; 50];
        for border in [Border::Reflect, Border::Replicate] {
            let augmentation = Augmentation::none().flip().crop(padding, border);
            augmentation.apply(&image, [2, 5, 5], place, &mut out)?;
            for (channel, pixels) in out.chunks(25).enumerate() {
                for pixel in pixels {
                    prop_assert!(image[25 * channel..][..25].contains(pixel));
                }
            }
        }
    }
}
