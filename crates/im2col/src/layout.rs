//! The two layouts of a matrix of columns.

/// How the patches of an image are laid out as a matrix, row-major in both cases.
///
/// The index of a patch element is `(c * KH + kh) * KW + kw`, that of an output pixel
/// `oh * OW + ow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One row per patch element, one column per output pixel: `(C*KH*KW, OH*OW)` for each
    /// image, as `torch.nn.Unfold`. The product of the weights `(OC, C*KH*KW)` and this is the
    /// output in NCHW order.
    PatchRows,
    /// One row per output pixel, one column per patch element: `(OH*OW, C*KH*KW)` for each
    /// image, the images stacked to `(N*OH*OW, C*KH*KW)`, as introductory books have it.
    PixelRows,
}
