//! Times unfold (im2col) and col2im against a plain copy, in turn: the median of each, and the ratios.
//!
//! `cargo run --release -p benches --bin unfold_ratio -- --help`

#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::timing::median;
use clap::Parser;
use im2col::{ConvGeometry, Im2colError, Layout, Window, col2im_into, naive, unfold_into};
use rayon::prelude::*;
use testkit::{assert_close, values};

/// Times unfold and col2im of one image for each thread against a copy of the same bytes.
///
/// The first copy is of all columns: what unfold writes, and what col2im reads. The second is of an
/// image: what col2im writes. Buffers are warm; a ratio is the speed relative to that copy.
#[derive(Debug, Parser)]
struct Args {
    /// Channels, height and width of an image.
    #[arg(long, num_args = 3, default_values_t = [64, 56, 56])]
    image: Vec<usize>,
    /// Rows and columns of the kernel.
    #[arg(long, default_value_t = 3)]
    kernel: usize,
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Padding on every side.
    #[arg(long, default_value_t = 1)]
    pad: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How often each is timed.
    #[arg(long, default_value_t = 101)]
    runs: usize,
}

/// The buffers of one thread.
struct Buffers {
    image: Vec<f32>,
    columns: Vec<f32>,
    /// What results and copies go to.
    to_image: Vec<f32>,
    to_columns: Vec<f32>,
}

/// `unfold_into` or `col2im_into`: from, geometry, layout, to.
type Function = fn(&[f32], &ConvGeometry, Layout, &mut [f32]) -> Result<(), Im2colError>;

const LAYOUTS: [(Layout, &str); 2] =
    [(Layout::PatchRows, "patch rows"), (Layout::PixelRows, "pixel rows")];

/// Something to time.
struct Subject<'a> {
    name: String,
    run: Box<dyn Fn(&mut Buffers) + Send + Send + Sync + 'a>,
    times: Vec<Duration>,
}

impl<'a> Subject<'a> {
    fn new(name: impl Into<String>, run: impl Fn(&mut Buffers) + Send + Sync + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), times: Vec::new() }
    }
}

fn check(g: &ConvGeometry, layout: Layout) -> Result<(), Im2colError> {
    for (fast, slow, from, to) in [
        (unfold_into as Function, naive::unfold_into as Function, g.in_len(), g.columns_len()),
        (col2im_into, naive::col2im_into, g.columns_len(), g.in_len()),
    ] {
        let from = values::<f32>(from, 1);
        let (mut actual, mut expected) = (vec![f32::NAN; to], vec![0.0; to]);
        fast(&from, g, layout, &mut actual)?;
        slow(&from, g, layout, &mut expected)?;
        assert_close("against the naive one", &actual, &expected, 1e-6);
    }
    Ok(())
}

fn subjects(g: &ConvGeometry) -> Vec<Subject<'_>> {
    const FITS: &str = "the lengths of the geometry";
    let mut subjects = vec![
        Subject::new("copy of the columns", |b: &mut Buffers| {
            black_box(&mut b.to_columns).copy_from_slice(black_box(&b.columns));
        }),
        Subject::new("copy of the image", |b: &mut Buffers| {
            black_box(&mut b.to_image).copy_from_slice(black_box(&b.image));
        }),
    ];
    for (layout, name) in LAYOUTS {
        subjects.push(Subject::new(format!("unfold, {name}"), move |b: &mut Buffers| {
            unfold_into(black_box(&b.image), g, layout, black_box(&mut b.to_columns)).expect(FITS);
        }));
        subjects.push(Subject::new(format!("col2im, {name}"), move |b: &mut Buffers| {
            col2im_into(black_box(&b.columns), g, layout, black_box(&mut b.to_image)).expect(FITS);
        }));
    }
    subjects
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let &[c, h, w] = &args.image[..] else { return Err("an image has three sizes".into()) };
    let window = Window::square(args.kernel).stride(args.stride).pad(args.pad);
    let g = ConvGeometry::new(c, h, w, window)?;
    for (layout, _) in LAYOUTS {
        check(&g, layout)?;
    }
    let mut buffers: Vec<Buffers> = (0..args.threads as u64)
        .map(|thread| Buffers {
            image: values(g.in_len(), 2 * thread),
            columns: values(g.columns_len(), 2 * thread + 1),
            to_image: vec![0.0; g.in_len()],
            to_columns: vec![0.0; g.columns_len()],
        })
        .collect();
    let mut subjects = subjects(&g);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build()?;
    pool.install(|| {
        for _ in 0..args.runs.max(1) {
            for subject in &mut subjects {
                let mut call = || buffers.par_iter_mut().for_each(|b| (subject.run)(b));
                // The one before has left other things in the cache.
                call();
                let start = Instant::now();
                call();
                subject.times.push(start.elapsed());
            }
        }
    });
    let medians: Vec<f64> =
        subjects.iter().map(|subject| median(subject.times.clone()).as_secs_f64()).collect();
    let lens = [g.columns_len(), g.in_len()].map(|len| (len * size_of::<f32>()) as f64 / 1e6);
    println!(
        "{c}x{h}x{w}, {k}x{k}, stride {}, pad {}, {} threads, an image each: {:.2} MB of columns, \
         {:.2} MB of image",
        args.stride,
        args.pad,
        args.threads,
        lens[0],
        lens[1],
        k = args.kernel
    );
    println!("{:<20} {:>9} {:>11} {:>9}", "", "ms", "of columns", "of image");
    for (subject, time) in subjects.iter().zip(&medians) {
        let [columns, image] = [medians[0] / time, medians[1] / time];
        println!("{:<20} {:>9.4} {columns:>11.2} {image:>9.2}", subject.name, time * 1e3);
    }
    Ok(())
}
