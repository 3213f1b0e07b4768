//! unfold (im2col) and col2im of one image in both layouts, in f32, on one thread.
//!
//! Throughput is in bytes of columns, written or read. Beside each stands a plain copy of as many
//! bytes. A large image can be unfolded faster than that, for it is smaller than its columns and
//! stays in the cache, while the copy reads all that it writes.

use std::hint::black_box;
use std::time::Duration;

use benches::{Layer, SIMPLE_CONV_NET, THREE_BY_THREE};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use im2col::{ConvGeometry, Layout, col2im_into, naive, unfold_into};
use testkit::{assert_close, values};

const LAYOUTS: [(Layout, &str); 2] =
    [(Layout::PatchRows, "patch rows"), (Layout::PixelRows, "pixel rows")];

/// `unfold_into` or `col2im_into`, fast or naive: from, geometry, layout, to.
type Function = fn(&[f32], &ConvGeometry, Layout, &mut [f32]) -> Result<(), im2col::Im2colError>;

/// Measures a function and its naive twin in both layouts, and a copy of all columns.
fn compare(
    criterion: &mut Criterion,
    name: &str,
    g: &ConvGeometry,
    [fast, slow]: [Function; 2],
    [from_len, to_len]: [usize; 2],
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    let columns_len = g.columns_len();
    group.throughput(Throughput::Bytes((columns_len * size_of::<f32>()) as u64));

    let from = values::<f32>(from_len, 1);
    let mut to = vec![0.0; to_len];
    for (layout, layout_name) in LAYOUTS {
        let mut expected = vec![0.0; to_len];
        slow(&from, g, layout, &mut expected).expect("the lengths of the geometry");
        for (function, what) in [(fast, "fast"), (slow, "naive")] {
            to.fill(f32::NAN);
            let mut run = || function(&from, g, layout, &mut to);
            run().expect("the lengths of the geometry");
            assert_close(what, &to, &expected, 1e-6);
            let mut run = || function(&from, g, layout, black_box(&mut to));
            group
                .bench_function(format!("{what}, {layout_name}"), |bencher| bencher.iter(&mut run));
        }
    }

    let source = values::<f32>(columns_len, 2);
    let mut target = vec![0.0; columns_len];
    group.bench_function("copy", |bencher| {
        bencher.iter(|| black_box(&mut target).copy_from_slice(black_box(&source)));
    });
    group.finish();
}

fn unfold(criterion: &mut Criterion) {
    for Layer { conv, .. } in [SIMPLE_CONV_NET, THREE_BY_THREE] {
        let g = ConvGeometry::new(conv.in_channels, conv.in_h, conv.in_w, conv.window)
            .expect("a layer of a known network");
        let sizes = [g.in_len(), g.columns_len()];
        let shape = format!(
            "{}x{}x{}, {}x{}",
            conv.in_channels, conv.in_h, conv.in_w, conv.window.kernel_h, conv.window.kernel_w
        );
        let name = format!("unfold/{shape}");
        compare(criterion, &name, &g, [unfold_into, naive::unfold_into], sizes);
        let [image, columns] = sizes;
        let name = format!("col2im/{shape}");
        compare(criterion, &name, &g, [col2im_into, naive::col2im_into], [columns, image]);
    }
}

criterion_group!(unfolding, unfold);
criterion_main!(unfolding);
