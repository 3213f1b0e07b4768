//! Products of matrices: of a matrix and a transpose, added to what is there, and many at a time.
//!
//!     cargo run -p gemm --example product

use gemm::{MatMut, MatRef, Product, gemm, par_gemm, par_gemm_batch};

/// A matrix of small whole numbers, row by row.
fn numbers(rows: usize, cols: usize, seed: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| ((i * 7 + seed) % 5) as f32 - 2.0).collect()
}

fn print(name: &str, matrix: MatRef<'_, f32>) {
    println!("{name} is {} x {}", matrix.rows(), matrix.cols());
    for row in 0..matrix.rows() {
        let row: Vec<String> =
            (0..matrix.cols()).map(|col| format!("{:4}", matrix[(row, col)])).collect();
        println!("  {}", row.join(" "));
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (a, b) = (numbers(2, 4, 1), numbers(3, 4, 3));
    let (a, b) = (MatRef::row_major(&a, 2, 4)?, MatRef::row_major(&b, 3, 4)?);
    print("A", a);
    print("B", b);

    // (2, 4) x (4, 3) -> (2, 3). A transpose is only another way to read.
    let mut c = vec![0.0; 6];
    gemm(1.0, a, b.t(), 0.0, MatMut::row_major(&mut c, 2, 3)?)?;
    print("A B^T", MatRef::row_major(&c, 2, 3)?);
    // beta = 1 adds to what is there.
    let once = c.clone();
    gemm(1.0, a, b.t(), 1.0, MatMut::row_major(&mut c, 2, 3)?)?;
    print("twice that", MatRef::row_major(&c, 2, 3)?);
    assert!(c.iter().zip(&once).all(|(c, once)| *c == 2.0 * once));

    // A large one on all threads, against three loops.
    let (m, k, n) = (150, 90, 120);
    let (a, b) = (numbers(m, k, 2), numbers(k, n, 4));
    let (a, b) = (MatRef::row_major(&a, m, k)?, MatRef::row_major(&b, k, n)?);
    let (mut fast, mut slow) = (vec![0.0; m * n], vec![0.0; m * n]);
    par_gemm(1.0, a, b, 0.0, MatMut::row_major(&mut fast, m, n)?)?;
    gemm::naive::gemm(1.0, a, b, 0.0, MatMut::row_major(&mut slow, m, n)?)?;
    // Whole numbers of this size are exact in f32, whatever the order of the sums.
    assert_eq!(fast, slow);
    println!("{m} x {k} times {k} x {n}: the same on all threads as by three loops");

    // Many small ones, each on one thread.
    let inputs: Vec<Vec<f32>> = (0..8).map(|seed| numbers(3, 3, seed)).collect();
    let mut outputs = vec![vec![0.0; 9]; inputs.len()];
    let mut products = Vec::new();
    for (input, output) in inputs.iter().zip(&mut outputs) {
        let input = MatRef::row_major(input, 3, 3)?;
        products.push(Product { a: input, b: input, c: MatMut::row_major(output, 3, 3)? });
    }
    par_gemm_batch(1.0, 0.0, products)?;
    print("the square of the last of eight", MatRef::row_major(&outputs[7], 3, 3)?);
    Ok(())
}
