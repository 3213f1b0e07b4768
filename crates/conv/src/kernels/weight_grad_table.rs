//! The part of a table that has the gradients by the weights.

/// Defines the functions of gradients by the weights in the module of a table; the list has the tiles:
/// places, columns and registers.
macro_rules! weight_grads {
    ($elem:ty, $vector:ty, $(#[$feature:meta])?,
        $($places:literal $taps:literal $registers:literal),*) => {
        const GRADS: &[[usize; 3]] = &[$([$places, $taps, $registers]),*];

        const fn grad_vectors() -> usize {
            let (mut most, mut i) = (0, 0);
            while i < GRADS.len() {
                if GRADS[i][2] > most {
                    most = GRADS[i][2];
                }
                i += 1;
            }
            most
        }

        $(#[$feature])?
        unsafe fn grad_tile<
            const A: usize,
            const B: usize,
            const N: usize,
            const NEAR: bool,
            const PAIRS: bool,
        >(
            args: &mut WeightGrad<'_, $elem>,
            tile: &weight_grad::Tile,
        ) {
            // SAFETY: as above.
            unsafe { weight_grad::tile::<$vector, A, B, N, NEAR, PAIRS>(args, tile) }
        }

        unsafe fn weight_grad(args: &mut WeightGrad<'_, $elem>) {
            let near = args.near();

            weight_grad::for_each_tile(args, GRADS, |args, tile| {
                // SAFETY: as above; the tile is one of the arguments.
                unsafe {
                    match (tile.places, tile.cols, args.vectors) {
                        $(($places, $taps, $registers) => match (near, args.pairs) {
                            (false, _) => {
                                grad_tile::<$places, $taps, $registers, false, false>(args, tile);
                            }
                            (true, false) => {
                                grad_tile::<$places, $taps, $registers, true, false>(args, tile);
                            }
                            (true, true) => {
                                // Pairs have a single register.
                                const PAIRS: bool = $registers == 1;
                                grad_tile::<$places, $taps, $registers, true, PAIRS>(args, tile);
                            }
                        })*
                        (places, cols, vectors) => unreachable!(
                            "a tile of {places} by {cols} taps and {vectors} registers"
                        ),
                    }
                }
            });
        }

        $(#[$feature])?
        unsafe fn grad_panel(args: &mut Panel<'_, $elem>) {
            // SAFETY: as above.
            unsafe {
                match (args.relu.is_empty(), args.pairs) {
                    (true, false) => weight_grad_panel::panel::<$vector, false>(args),
                    (false, false) => weight_grad_panel::panel::<$vector, true>(args),
                    (true, true) => weight_grad_panel::panel_of_pairs::<$vector, false>(args),
                    (false, true) => weight_grad_panel::panel_of_pairs::<$vector, true>(args),
                }
            }
        }

        $(#[$feature])?
        unsafe fn relu_grad(args: &mut ReluGrad<'_, $elem>) {
            // SAFETY: as above.
            unsafe { relu_grad::relu_grad::<$vector>(args) }
        }

        $(#[$feature])?
        unsafe fn unpool(args: &mut Unpool<'_, $elem>) {
            // SAFETY: as above.
            unsafe { relu_grad::unpool::<$vector>(args) }
        }

        $(#[$feature])?
        unsafe fn grad_gather(args: &mut Gather<'_, $elem>) {
            // SAFETY: as above.
            unsafe { weight_grad_panel::gather::<$vector>(args) }
        }

        $(#[$feature])?
        unsafe fn grad_taps<const T: usize, const R: usize>(
            args: &mut PlaneGrad<'_, $elem>,
            first: usize,
        ) {
            // SAFETY: as above.
            unsafe { weight_grad_lanes::taps::<$vector, T, R>(args, first) }
        }

        $(#[$feature])?
        unsafe fn grad_bias(args: &mut PlaneGrad<'_, $elem>) {
            // SAFETY: as above.
            unsafe { weight_grad_lanes::bias::<$vector>(args) }
        }

        unsafe fn grad_channels<const R: usize>(args: &mut PlaneGrad<'_, $elem>) {
            weight_grad_lanes::for_each_tile(args, |args, first, count| {
                // SAFETY: as above; the taps exist.
                unsafe {
                    match count {
                        1 => grad_taps::<1, R>(args, first),
                        2 => grad_taps::<2, R>(args, first),
                        3 => grad_taps::<3, R>(args, first),
                        4 => grad_taps::<4, R>(args, first),
                        5 => grad_taps::<5, R>(args, first),
                        6 => grad_taps::<6, R>(args, first),
                        7 => grad_taps::<7, R>(args, first),
                        8 => grad_taps::<8, R>(args, first),
                        9 => grad_taps::<9, R>(args, first),
                        count => unreachable!("{count} taps at a time"),
                    }
                }
            });
        }

        /// Nine taps of so many output channels have a register each.
        const GRAD_CHANNELS: usize = if <$vector as Vector>::REGISTERS < 32 {
            1
        } else {
            weight_grad_lanes::MAX_CHANNELS
        };

        unsafe fn plane_grad(args: &mut PlaneGrad<'_, $elem>) {
            // SAFETY: as above.
            unsafe {
                match args.out_channels {
                    1 => grad_channels::<1>(args),
                    2 if GRAD_CHANNELS > 1 => grad_channels::<2>(args),
                    3 if GRAD_CHANNELS > 2 => grad_channels::<3>(args),
                    channels => unreachable!("{channels} output channels at a time"),
                }
                grad_bias(args);
            }
        }

        $(#[$feature])?
        unsafe fn output_grad<F: winograd::Points<IN>, const OUT: usize, const IN: usize>(
            args: &mut winograd::OutputGrad<'_, $elem>,
        ) {
            // SAFETY: as above.
            unsafe { winograd::output_grad::<$vector, F, OUT, IN>(args) }
        }

        $(#[$feature])?
        unsafe fn filter_grad<F: winograd::Points<IN>, const R: usize, const IN: usize>(
            args: &mut winograd::FilterGrad<'_, $elem>,
        ) {
            // SAFETY: as above.
            unsafe { winograd::filter_grad::<$vector, F, R, IN>(args) }
        }

        $(#[$feature])?
        unsafe fn plane_of<const K: usize, const S: usize, const R: usize>(
            args: &mut lanes::PlaneWeights<'_, $elem>,
        ) {
            // SAFETY: as above.
            unsafe { lanes::plane_weights::<$vector, K, S, R>(args) }
        }

        unsafe fn plane_weights(args: &mut lanes::PlaneWeights<'_, $elem>) {
            // SAFETY: as above.
            unsafe {
                match (args.plane.kernel, args.plane.stride) {
                    (3, 1) => plane_of::<3, 1, 4>(args),
                    (3, 2) => plane_of::<3, 2, 4>(args),
                    (5, 1) => plane_of::<5, 1, 2>(args),
                    (5, 2) => plane_of::<5, 2, 2>(args),
                    (kernel, stride) => {
                        unreachable!("a plane under a kernel of {kernel} with stride {stride}")
                    }
                }
            }
        }
    };
}
