//! How a product is cut into tiles of C: a pure function of its sizes.

/// A product of fewer flops than this is one tile: waking other threads would cost more.
const MIN_FLOPS: f64 = 4e6;
/// Tiles of fewer flops than this are not cut further.
const TILE_FLOPS: f64 = 16e6;
/// The least sides of a tile in a large product. Each tile packs its rows of A and its columns of B
/// anew, which costs in proportion to `1 / width` and `1 / height`. Columns are the dearer to
/// cut: a row-major A packs more slowly than a row-major B, and C is written twice.
const MIN_SIDES: [usize; 2] = [128, 256];
/// Below this number of tiles, the sides may be half as long.
const FEW_TILES: usize = 4;
/// There are about as many tiles as this at most.
const MAX_TILES: usize = 16;
/// The sides are multiples of this, which suits every kernel of `matrixmultiply`.
const GRAIN: usize = 16;

/// The height and the width of the tiles of C in a product `(m, k) x (k, n)` with a row-major C.
/// They are at most `m` and `n`, and only the last row and column of tiles may be smaller.
pub(crate) fn tile_sides(m: usize, k: usize, n: usize) -> [usize; 2] {
    let flops = |[rows, cols]: [usize; 2]| 2.0 * rows as f64 * k as f64 * cols as f64;
    let mut sides = [m, n];
    if flops(sides) < MIN_FLOPS {
        return sides;
    }
    loop {
        let tiles = m.div_ceil(sides[0]) * n.div_ceil(sides[1]);
        // The side that is longer by the measure of MIN_SIDES is halved.
        let axis = usize::from(sides[0] * MIN_SIDES[1] < sides[1] * MIN_SIDES[0]);
        let least = MIN_SIDES[axis] / if tiles < FEW_TILES { 2 } else { 1 };
        if flops(sides) < TILE_FLOPS || sides[axis] < 2 * least || 2 * tiles > MAX_TILES {
            return sides;
        }
        sides[axis] = sides[axis].div_ceil(2).next_multiple_of(GRAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::tile_sides;

    #[test]
    fn large_products_are_cut_along_the_longer_side() {
        for ([m, k, n], sides) in [
            ([64, 64, 64], [64, 64]),
            ([256, 256, 256], [64, 256]),
            ([512, 512, 512], [128, 256]),
            ([2048, 2048, 2048], [256, 1024]),
            ([64, 576, 3136], [64, 400]),
            ([32, 800, 10_000], [32, 640]),
            ([10_000, 800, 32], [640, 32]),
        ] {
            assert_eq!(tile_sides(m, k, n), sides, "({m}, {k}) x ({k}, {n})");
        }
    }

    #[test]
    fn sides_lie_within_c() {
        let sizes =
            [1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 255, 257, 511, 513, 1000, 4097, 100_000];
        for m in sizes {
            for n in sizes {
                for k in [1, 16, 300, 5000] {
                    let [height, width] = tile_sides(m, k, n);
                    assert!((1..=m).contains(&height) && (1..=n).contains(&width));
                    let tiles = m.div_ceil(height) * n.div_ceil(width);
                    assert!(tiles <= super::MAX_TILES, "({m}, {k}) x ({k}, {n}): {tiles}");
                }
            }
        }
    }
}
