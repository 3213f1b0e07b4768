//! One matrix product in f32: on one thread, on all of them, and by three loops.
//!
//! Throughput is in multiply-adds: an element per second is 2 flop/s.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gemm::{GemmError, MatMut, MatRef, gemm, naive, par_gemm};

type Gemm =
    fn(f32, MatRef<'_, f32>, MatRef<'_, f32>, f32, MatMut<'_, f32>) -> Result<(), GemmError>;

/// `[m, k, n]` of the products `(m, k) x (k, n)`.
const SIZES: [[usize; 3]; 4] = [
    [64, 64, 64],
    [256, 256, 256],
    [512, 512, 512],
    // 3x3 convolution, 64 channels to 64, 56x56: (OC, C*KH*KW) x (C*KH*KW, OH*OW).
    [64, 576, 3136],
];

/// The three loops are timed up to this many multiply-adds.
const NAIVE_LIMIT: usize = 64 * 64 * 64;

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for [m, k, n] in SIZES {
        let a = testkit::values::<f32>(m * k, 1);
        let b = testkit::values::<f32>(k * n, 2);
        let a = MatRef::row_major(&a, m, k).expect("m * k elements");
        let b = MatRef::row_major(&b, k, n).expect("k * n elements");
        // C <- A B
        let run = |gemm: Gemm, c: &mut [f32]| {
            let c = MatMut::row_major(c, m, n).expect("m * n elements");
            gemm(1.0, black_box(a), black_box(b), 0.0, c).expect("the sizes fit together");
        };

        let mut expected = vec![0.0; m * n];
        run(naive::gemm, &mut expected);
        group.throughput(Throughput::Elements((m * k * n) as u64));
        for (name, gemm) in
            [("naive", naive::gemm as Gemm), ("one thread", gemm), ("pool", par_gemm)]
        {
            if name == "naive" && m * k * n > NAIVE_LIMIT {
                continue;
            }
            let mut c = vec![f32::NAN; m * n];
            run(gemm, &mut c);
            testkit::assert_close(name, &c, &expected, 1e-5);
            group.bench_function(BenchmarkId::new(name, format!("{m}x{k}x{n}")), |bencher| {
                bencher.iter(|| run(gemm, black_box(&mut c)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
