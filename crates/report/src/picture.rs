//! Small pictures in memory: tiles of tensors, laid out in grids, written as PNG.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A colour, or a grey if all three are equal: red, green, blue.
pub type Color = [u8; 3];

/// A raster of 8-bit pixels, row by row, three bytes (red, green, blue) each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The first row; may lie above the picture.
    pub top: isize,
    /// The first column; may lie left of the picture.
    pub left: isize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Picture {
    /// A picture of one colour.
    #[must_use]
    pub fn filled(width: usize, height: usize, color: Color) -> Self {
        Self { width, height, pixels: vec![color; width * height] }
    }

    /// A picture whose pixel in row `y` and column `x` is `f(x, y)`.
    #[must_use]
    pub fn from_fn(width: usize, height: usize, mut f: impl FnMut(usize, usize) -> Color) -> Self {
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            pixels.extend((0..width).map(|x| f(x, y)));
        }
        Self { width, height, pixels }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixel in row `y` and column `x`.
    ///
    /// # Panics
    ///
    /// If it lies outside.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Color {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y})");
        self.pixels[y * self.width + x]
    }

    /// Copies another picture over this one, its upper left corner at column `x` and row `y`;
    /// what reaches beyond the border is left out.
    pub fn paste(&mut self, other: &Self, x: usize, y: usize) {
        let width = other.width.min(self.width.saturating_sub(x));
        for row in 0..other.height.min(self.height.saturating_sub(y)) {
            let to = (y + row) * self.width + x;
            let from = row * other.width;
            self.pixels[to..to + width].copy_from_slice(&other.pixels[from..from + width]);
        }
    }

    /// Each pixel as a square of `factor` times `factor`.
    #[must_use]
    pub fn enlarged(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        Self::from_fn(self.width * factor, self.height * factor, |x, y| {
            self.pixel(x / factor, y / factor)
        })
    }

    /// Enlarged by the largest whole factor that leaves no side above `side`, or shrunk if one
    /// is longer already.
    #[must_use]
    pub fn fitted(&self, side: usize) -> Self {
        let longest = self.width.max(self.height).max(1);
        if longest > side { self.shrunk(side) } else { self.enlarged(side / longest) }
    }

    /// Shrunk until no side is longer than `side`, each pixel the average of those it covers; as
    /// it is if that holds already.
    #[must_use]
    pub fn shrunk(&self, side: usize) -> Self {
        let longest = self.width.max(self.height);
        if longest <= side || side == 0 {
            return self.clone();
        }
        let scaled = |len: usize| (len * side).div_ceil(longest).max(1);
        let (width, height) = (scaled(self.width), scaled(self.height));
        // The pixels whose squares begin within the square of the new one.
        let covered = |i: usize, len: usize, new: usize| {
            let first = i * len / new;
            first..((i + 1) * len / new).max(first + 1)
        };
        Self::from_fn(width, height, |x, y| {
            let (mut sum, mut count) = ([0_usize; 3], 0);
            for row in covered(y, self.height, height) {
                for col in covered(x, self.width, width) {
                    let pixel = self.pixel(col, row);
                    sum = std::array::from_fn(|i| sum[i] + usize::from(pixel[i]));
                    count += 1;
                }
            }
            sum.map(|sum| ((sum + count / 2) / count) as u8)
        })
    }

    /// The part within `area`; what lies outside of the picture is left out.
    #[must_use]
    pub fn cropped(&self, area: Area) -> Self {
        let range = |start: isize, len: usize, end: usize| {
            let stop = start.saturating_add_unsigned(len).clamp(0, end as isize) as usize;
            (start.clamp(0, end as isize) as usize, stop)
        };
        let (left, right) = range(area.left, area.width, self.width);
        let (top, bottom) = range(area.top, area.height, self.height);
        Self::from_fn(right - left, bottom - top, |x, y| self.pixel(left + x, top + y))
    }

    /// Draws a line one pixel wide along the border of `area`, inside it; what lies outside of
    /// the picture is not drawn.
    pub fn outline(&mut self, area: Area, color: Color) {
        let bottom = area.top.saturating_add_unsigned(area.height) - 1;
        let right = area.left.saturating_add_unsigned(area.width) - 1;
        for y in area.top.max(0)..=bottom.min(self.height as isize - 1) {
            for x in area.left.max(0)..=right.min(self.width as isize - 1) {
                if y == area.top || y == bottom || x == area.left || x == right {
                    self.pixels[y as usize * self.width + x as usize] = color;
                }
            }
        }
    }

    /// The bytes of a PNG file: grey if every pixel is, else in colour.
    ///
    /// # Panics
    ///
    /// If a side is 0 or above 2^31 - 1: there is no such PNG.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        let grey = self.pixels.iter().all(|&[r, g, b]| r == g && g == b);
        let data: Vec<u8> = if grey {
            self.pixels.iter().map(|pixel| pixel[0]).collect()
        } else {
            self.pixels.iter().flatten().copied().collect()
        };
        let side = |len: usize| u32::try_from(len).expect("a picture of tiles is small");
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width), side(self.height));
        encoder.set_color(if grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        // Small files matter more than the milliseconds: a page has hundreds of pictures.
        encoder.set_compression(png::Compression::High);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&data)?;
            writer.finish()
        });
        written.expect("a picture with pixels is written to memory");
        bytes
    }

    /// The picture as the address of an image in a page: a PNG within the page itself.
    #[must_use]
    pub fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(self.to_png()))
    }
}

/// Pictures in rows of `columns`, `gap` pixels apart and from the border, on a background of one
/// colour. Every cell has the size of the largest picture.
#[must_use]
pub fn grid(tiles: &[Picture], columns: usize, gap: usize, background: Color) -> Picture {
    let columns = columns.clamp(1, tiles.len().max(1));
    let rows = tiles.len().div_ceil(columns);
    let width = tiles.iter().map(Picture::width).max().unwrap_or(1);
    let height = tiles.iter().map(Picture::height).max().unwrap_or(1);
    let side = |cells: usize, len: usize| (cells * (len + gap) + gap).max(1);
    let mut picture = Picture::filled(side(columns, width), side(rows, height), background);
    for (i, tile) in tiles.iter().enumerate() {
        let (row, column) = (i / columns, i % columns);
        picture.paste(tile, gap + column * (width + gap), gap + row * (height + gap));
    }
    picture
}

/// Pictures beside each other, their upper borders in a line, `gap` pixels apart.
#[must_use]
pub fn beside(pictures: &[Picture], gap: usize, background: Color) -> Picture {
    let height = pictures.iter().map(Picture::height).max().unwrap_or(1);
    let width = pictures.iter().map(|p| p.width() + gap).sum::<usize>().saturating_sub(gap);
    let mut whole = Picture::filled(width.max(1), height.max(1), background);
    let mut x = 0;
    for picture in pictures {
        whole.paste(picture, x, 0);
        x += picture.width() + gap;
    }
    whole
}
