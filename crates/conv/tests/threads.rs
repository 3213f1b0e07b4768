//! The number of threads does not change a single bit, whichever path a shape takes.

mod common;

use std::collections::BTreeSet;

use common::{Case, all_options, bits, large_cases, run, try_options};
use conv::{Algorithm, Conv2d, KernelSet, Workspace};
use im2col::Window;
use rayon::{ThreadPool, ThreadPoolBuilder};

const DIRECTIONS: [&str; 4] = ["y", "dx", "dw", "db"];

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads")
}

#[test]
fn results_are_the_same_bytes_for_every_number_of_threads() {
    let window = Window::square(3).pad(1);
    let mut cases = large_cases();
    cases.extend([
        ("one large image", Case::new(1, Conv2d::new(33, 40, 41, 35, window))),
        ("nine images", Case::new(9, Conv2d::new(5, 21, 19, 18, window))),
        ("eight images, depthwise", Case::new(8, Conv2d::new(18, 9, 9, 36, window).groups(18))),
        ("one image, depthwise", Case::new(1, Conv2d::new(18, 23, 9, 36, window).groups(18))),
        ("several stages of weights", Case::new(5, Conv2d::new(300, 5, 6, 260, window))),
        ("one large image, several stages", Case::new(1, Conv2d::new(300, 21, 20, 260, window))),
        ("one pixel", Case::new(1, Conv2d::new(40, 1, 1, 50, Window::square(1)))),
        ("a batch that segments do not divide", Case::new(19, Conv2d::new(2, 9, 9, 3, window))),
        ("few tiles, many channels", Case::new(3, Conv2d::new(150, 14, 13, 70, window))),
        ("many tiles, many channels", Case::new(8, Conv2d::new(70, 30, 27, 50, window))),
        ("a stride", Case::new(5, Conv2d::new(40, 18, 17, 50, window.stride(2)))),
        ("one image, a stride", Case::new(1, Conv2d::new(36, 31, 30, 33, window.stride(3)))),
        (
            "phases without taps",
            Case::new(3, Conv2d::new(70, 15, 14, 40, Window::square(1).stride(2))),
        ),
        ("few tiles, two groups", Case::new(2, Conv2d::new(140, 7, 7, 80, window).groups(2))),
    ]);
    let pools = [1, 2, 3, 8].map(pool);
    // Goes from pool to pool, so that it has buffers for fewer threads than the next one needs.
    let mut shared = Workspace::new();
    let mut ran = BTreeSet::new();
    for (name, case) in cases {
        for options in all_options(KernelSet::available()[0]) {
            if options.algorithm == Algorithm::Naive {
                continue; // It knows no threads.
            }
            let Some(plan) = try_options(case.conv, options) else { continue };
            ran.insert(plan.algorithm().name());
            let inputs = case.inputs::<f32>();
            let [one, several @ ..] = &pools;
            let expected = bits(&one.install(|| run(&plan, &inputs, &mut Workspace::new())));
            for pool in several {
                let threads = pool.current_num_threads();
                let own = pool.install(|| run(&plan, &inputs, &mut Workspace::new()));
                let reused = pool.install(|| run(&plan, &inputs, &mut shared));
                for out in [bits(&own), bits(&reused)] {
                    for ((direction, actual), expected) in
                        DIRECTIONS.iter().zip(&out).zip(&expected)
                    {
                        let same = actual == expected;
                        let what = plan.describe();
                        assert!(same, "{name}, {what}: {direction} on {threads} threads");
                    }
                }
            }
        }
    }
    let all = Algorithm::ALL.iter().map(|a| a.name());
    let parallel = all.filter(|&name| name != "auto" && name != "naive");
    assert_eq!(ran, parallel.collect());
}
