//! What holds for every geometry, on random ones.

use im2col::{
    ConvGeometry, Layout, Padding, Window, col2im_batch_into, col2im_into, col2im_rows_add, fold,
    naive, overlap_counts, unfold, unfold_batch_into, unfold_into, unfold_rows_into,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tensor4::{Scalar, Shape4, Tensor4};
use testkit::{assert_close, dot, shape, tensor, values};

const LAYOUTS: [Layout; 2] = [Layout::PatchRows, Layout::PixelRows];

/// A batch and a window that fits it.
#[derive(Debug, Clone, Copy)]
struct Case {
    images: Shape4,
    window: Window,
    g: ConvGeometry,
    seed: u64,
}

/// Sizes, kernels and strides that favour 1, with every combination of the rest: one pixel, one
/// channel, none at all, strides above the kernel, padding on one side or larger than the kernel.
fn case() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![1 => Just(0_usize), 2 => Just(1), 12 => 2..12_usize];
    // Beyond 64 columns rows are copied in another way.
    let width = || prop_oneof![9 => size(), 1 => 60..80_usize];
    let kernel = || prop_oneof![2 => Just(1_usize), 8 => 2..=5_usize, 1 => 6..9_usize];
    let step = || prop_oneof![3 => Just(1_usize), 2 => Just(2), 2 => 3..7_usize];
    let dilation = || prop_oneof![3 => Just(1_usize), 1 => 2..4_usize];
    let pad = || prop_oneof![2 => Just(0_usize), 2 => 1..4_usize, 1 => 4..10_usize];
    let images = (
        prop_oneof![1 => Just(0_usize), 9 => 1..4_usize],
        prop_oneof![1 => Just(0_usize), 4 => Just(1), 4 => 2..4_usize],
        size(),
        width(),
    );
    let padding = (pad(), pad(), pad(), pad()).prop_map(|(top, left, bottom, right)| Padding {
        top,
        left,
        bottom,
        right,
    });
    let window = (kernel(), kernel(), step(), step(), dilation(), dilation(), padding);
    // The common "same" padding, whose rows are copied all at once.
    let same = (any::<bool>(), any::<u64>());
    (images, window, same).prop_filter_map(
        "the kernel does not fit",
        |((n, c, h, w), (kh, kw, sh, sw, dh, dw, padding), (same, seed))| {
            let mut window = Window::new(kh, kw).strides(sh, sw).dilations(dh, dw).padding(padding);
            if same {
                let (all_h, all_w) = (dh * (kh - 1), dw * (kw - 1));
                let (top, left) = (all_h / 2, all_w / 2);
                let padding = Padding { top, left, bottom: all_h - top, right: all_w - left };
                window = window.stride(1).padding(padding);
            }
            let g = ConvGeometry::new(c, h, w, window).ok()?;
            Some(Case { images: shape(n, c, h, w), window, g, seed })
        },
    )
}

fn columns<T: Scalar>(case: &Case, layout: Layout) -> Tensor4<T> {
    let shape = case.g.columns_shape(case.images.n(), layout).expect("a small case");
    tensor(shape, case.seed ^ 0x5eed)
}

/// Fast and naive, allocating and into buffers that are full of NaN.
fn check_against_naive<T: Scalar>(case: &Case) {
    let Case { images, window, g, seed } = case;
    let x = tensor::<T>(*images, *seed);
    for layout in LAYOUTS {
        let expected = naive::unfold(&x, *window, layout).unwrap();
        assert_eq!(unfold(&x, *window, layout).unwrap(), expected, "{layout:?}");
        let len = g.batch_columns_len(images.n()).unwrap();
        assert_eq!(len, expected.len());
        let mut buffer = vec![T::NAN; len];
        unfold_batch_into(&x, g, layout, &mut buffer).unwrap();
        assert_eq!(buffer, expected.data(), "{layout:?}");

        // The sums run in the same order, so that they are the same to the last bit as well.
        let y = columns::<T>(case, layout);
        let expected = naive::fold(&y, *images, *window, layout).unwrap();
        assert_eq!(fold(&y, *images, *window, layout).unwrap(), expected, "{layout:?}");
        let mut dx = Tensor4::full(*images, T::NAN);
        col2im_batch_into(y.data(), g, layout, &mut dx).unwrap();
        assert_eq!(dx, expected, "{layout:?}");
    }
}

/// The same cases in every run.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        cases: testkit::cases(256),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Square kernels have loops of their own, over several pixels and a part of the channels at a time.
#[test]
fn square_kernels_are_naive() {
    for kernel in [1, 2, 3, 4, 5, 7] {
        for (stride, pad) in [(1, 0), (1, kernel / 2), (2, 1)] {
            for (c, h, w) in [(2, kernel + 2, 29), (256 / kernel + 3, kernel, kernel + 7)] {
                let window = Window::square(kernel).stride(stride).pad(pad);
                let g = ConvGeometry::new(c, h, w, window).expect("the kernel fits");
                let images = shape(2, c, h, w);
                check_against_naive::<f32>(&Case { images, window, g, seed: 7 });
                check_against_naive::<f64>(&Case { images, window, g, seed: 8 });
            }
        }
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn fast_is_naive(case in case()) {
        check_against_naive::<f32>(&case);
        check_against_naive::<f64>(&case);
    }

    #[test]
    fn fold_is_the_adjoint_of_unfold(case in case()) {
        let Case { images, window, .. } = case;
        let x = tensor::<f64>(images, case.seed);
        for layout in LAYOUTS {
            let y = columns::<f64>(&case, layout);
            let left = dot(unfold(&x, window, layout).unwrap().data(), y.data());
            let right = dot(x.data(), fold(&y, images, window, layout).unwrap().data());
            // Each product is at most 1, so that this bounds the rounding of the sums.
            let tolerance = f64::EPSILON * (1.0 + y.len() as f64);
            prop_assert!((left - right).abs() <= tolerance, "{left} and {right}, {layout:?}");
        }
    }

    #[test]
    fn chunks_of_rows_are_the_whole(case in case(), chunk in 1..5_usize) {
        let g = case.g;
        let image = values::<f32>(g.in_len(), case.seed);
        let (patches, out_w) = (g.patch_len(), g.out_w());
        let y = values::<f32>(g.columns_len(), !case.seed);
        for layout in LAYOUTS {
            let mut whole = vec![f32::NAN; g.columns_len()];
            unfold_into(&image, &g, layout, &mut whole).unwrap();
            let mut folded = vec![f32::NAN; g.in_len()];
            col2im_into(&y, &g, layout, &mut folded).unwrap();
            let mut folded_by_chunks = vec![0.0; g.in_len()];

            for start in (0..g.out_h()).step_by(chunk) {
                let rows = start..g.out_h().min(start + chunk);
                // The part of a matrix of columns that belongs to these rows.
                let part = |columns: &[f32]| -> Vec<f32> {
                    match layout {
                        Layout::PatchRows => (0..patches)
                            .flat_map(|p| &columns[p * g.out_plane_len()..][..g.out_plane_len()]
                                [rows.start * out_w..rows.end * out_w])
                            .copied()
                            .collect(),
                        Layout::PixelRows => {
                            columns[rows.start * out_w * patches..rows.end * out_w * patches].to_vec()
                        }
                    }
                };
                let mut columns = vec![f32::NAN; g.rows_columns_len(rows.len())];
                unfold_rows_into(&image, &g, layout, rows.clone(), &mut columns).unwrap();
                prop_assert_eq!(&columns, &part(&whole), "{:?}, rows {:?}", layout, rows);
                col2im_rows_add(&part(&y), &g, layout, rows.clone(), &mut folded_by_chunks).unwrap();
            }
            prop_assert_eq!(folded_by_chunks, folded, "{:?}", layout);
        }
    }

    #[test]
    fn the_layouts_are_transposes_of_each_other(case in case()) {
        let Case { images, window, g, seed } = case;
        let (patches, pixels) = (g.patch_len(), g.out_plane_len());
        let x = tensor::<f32>(images, seed);
        let patch_rows = unfold(&x, window, Layout::PatchRows).unwrap();
        let pixel_rows = unfold(&x, window, Layout::PixelRows).unwrap();
        prop_assert_eq!(patch_rows.dims(), [images.n(), 1, patches, pixels]);
        prop_assert_eq!(pixel_rows.dims(), [images.n() * pixels, patches, 1, 1]);
        for n in 0..images.n() {
            for patch in 0..patches {
                for pixel in 0..pixels {
                    let transposed = pixel_rows[(n * pixels + pixel, patch, 0, 0)];
                    prop_assert_eq!(patch_rows[(n, 0, patch, pixel)], transposed);
                }
            }
        }
        // And so the sums, to the last bit.
        let by_patch = fold(&patch_rows, images, window, Layout::PatchRows).unwrap();
        prop_assert_eq!(by_patch, fold(&pixel_rows, images, window, Layout::PixelRows).unwrap());
    }

    #[test]
    fn a_batch_is_its_images(case in case()) {
        let Case { images, g, seed, .. } = case;
        let x = tensor::<f64>(images, seed);
        for layout in LAYOUTS {
            let whole = unfold(&x, case.window, layout).unwrap();
            let mut images_one_by_one = Vec::new();
            for n in 0..images.n() {
                let mut columns = vec![f64::NAN; g.columns_len()];
                unfold_into(x.image(n), &g, layout, &mut columns).unwrap();
                images_one_by_one.extend(columns);
            }
            prop_assert_eq!(whole.data(), images_one_by_one);
        }
    }

    #[test]
    fn overlap_counts_are_folded_ones(case in case()) {
        let Case { images, window, g, seed } = case;
        let counts = overlap_counts(&g);
        prop_assert_eq!(counts.len(), g.in_h() * g.in_w());
        let ones = Tensor4::<f64>::full(images, 1.0);
        let x = tensor::<f64>(images, seed);
        for layout in LAYOUTS {
            let fold_unfold = |x: &Tensor4<f64>| {
                fold(&unfold(x, window, layout).unwrap(), images, window, layout).unwrap()
            };
            let (sums_of_ones, sums) = (fold_unfold(&ones), fold_unfold(&x));
            for n in 0..images.n() {
                for c in 0..images.c() {
                    for (sum, &count) in sums_of_ones.plane(n, c).iter().zip(&counts) {
                        prop_assert_eq!(*sum, count as f64);
                    }
                    // The average of the copies of a pixel is the pixel, where there are any.
                    let expected: Vec<f64> =
                        x.plane(n, c).iter().zip(&counts).map(|(x, &k)| x * k as f64).collect();
                    assert_close("sums", sums.plane(n, c), &expected, 1e-14);
                }
            }
        }
    }

    #[test]
    fn folding_adds_to_what_is_there(case in case()) {
        let g = case.g;
        let y = values::<f64>(g.columns_len(), case.seed);
        let before = values::<f64>(g.in_len(), !case.seed);
        for layout in LAYOUTS {
            let mut alone = vec![f64::NAN; g.in_len()];
            col2im_into(&y, &g, layout, &mut alone).unwrap();
            let expected: Vec<f64> = before.iter().zip(&alone).map(|(b, a)| b + a).collect();
            let mut image = before.clone();
            col2im_rows_add(&y, &g, layout, 0..g.out_h(), &mut image).unwrap();
            assert_close("col2im_rows_add", &image, &expected, 1e-14);
            // No rows, nothing added.
            image.clone_from(&before);
            col2im_rows_add(&[], &g, layout, g.out_h()..g.out_h(), &mut image).unwrap();
            prop_assert_eq!(&image, &before);
        }
    }
}
