//! The header of npy: the literal of a Python dictionary.

use std::io::{self, Read};
use std::path::Path;

use super::{MAGIC, MAX_HEADER_LEN, counted};
use crate::element::Element;
use crate::{MAX_RANK, WeightsError};

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) element: Element,
    pub(crate) fortran_order: bool,
    pub(crate) dims: Vec<usize>,
    /// The product of the sizes.
    pub(crate) count: usize,
    /// The bytes of all elements.
    pub(crate) data_len: u64,
}

impl Header {
    /// Reads the header, and says how many bytes it has with all that comes before it.
    pub(crate) fn read(
        reader: &mut impl Read,
        path: &Path,
        name: &str,
        failed: &impl Fn(io::Error) -> WeightsError,
    ) -> Result<(Self, u64), WeightsError> {
        let mut start = Vec::new();
        let mut take = |expected: u64, to: &mut Vec<u8>| {
            let left = expected - to.len() as u64;
            reader.by_ref().take(left).read_to_end(to).map_err(failed)?;
            if (to.len() as u64) < expected {
                let what = format!("the header of {name:?}");
                let actual = to.len() as u64;
                return Err(WeightsError::CutOff { path: path.to_owned(), what, expected, actual });
            }
            Ok(())
        };
        let cut_off = take(8, &mut start);
        if !start.starts_with(MAGIC) && !MAGIC.starts_with(&start) {
            let found = start[..start.len().min(6)].to_vec();
            return Err(WeightsError::Magic { path: path.to_owned(), format: "npy", found });
        }
        cut_off?;
        let (major, minor) = (start[6], start[7]);
        let prefix = match (major, minor) {
            (1, 0) => 10,
            (2 | 3, 0) => 12,
            _ => return Err(WeightsError::Version { path: path.to_owned(), major, minor }),
        };
        take(prefix, &mut start)?;
        let mut len = [0; 4];
        len[..prefix as usize - 8].copy_from_slice(&start[8..]);
        let len = u64::from(u32::from_le_bytes(len));
        if len > MAX_HEADER_LEN {
            let (path, max) = (path.to_owned(), MAX_HEADER_LEN);
            return Err(WeightsError::HeaderTooLong { path, len, max });
        }
        take(prefix + len, &mut start)?;
        let text = &start[prefix as usize..];
        let bad = |message: String| WeightsError::Header {
            path: path.to_owned(),
            message: format!("{message}, in npy {name:?}"),
        };
        // Latin-1 in versions 1 and 2: what could differ from UTF-8 is in no header that is read.
        let text = std::str::from_utf8(text).map_err(|e| bad(e.to_string()))?;
        let announced = parse(text).map_err(bad)?;
        Ok((announced.checked(path, name)?, prefix + len))
    }
}

/// What a header says, unchecked.
#[derive(Debug, Clone, PartialEq)]
struct Announced {
    /// `None` if it is a list: an array of records.
    descr: Option<String>,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Announced {
    fn checked(self, path: &Path, name: &str) -> Result<Header, WeightsError> {
        let (path_buf, name_owned) = (path.to_owned(), name.to_owned());
        let Self { descr, fortran_order, shape } = self;
        let element = match descr.as_deref() {
            Some("<f4") => Element::F32,
            Some("<f2") => Element::F16,
            Some("|O" | "O" | "|O8" | "|O4") => {
                return Err(WeightsError::Pickle { path: path_buf, name: name_owned });
            }
            other => {
                let dtype = other.unwrap_or("records").to_owned();
                return Err(WeightsError::Dtype { path: path_buf, name: name_owned, dtype });
            }
        };
        if shape.len() > MAX_RANK {
            let rank = shape.len();
            return Err(WeightsError::Rank {
                path: path_buf,
                name: name_owned,
                rank,
                max: MAX_RANK,
            });
        }
        let (count, data_len) = counted(&shape, element.size(), path, name)?;
        let dims = shape.iter().map(|&dim| usize::try_from(dim)).collect::<Result<_, _>>();
        let Ok(dims) = dims else {
            return Err(WeightsError::ShapeTooLarge {
                path: path_buf,
                name: name_owned,
                dims: shape,
            });
        };
        Ok(Header { element, fortran_order, dims, count, data_len })
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`: the three keys, each once,
/// in any order.
fn parse(text: &str) -> Result<Announced, String> {
    let mut literal = Literal { rest: text.trim_end() };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    literal.expect("{")?;
    while !literal.eat("}") {
        let key = literal.text()?;
        literal.expect(":")?;
        let known = match key {
            "descr" => descr.replace(literal.descr()?).is_none(),
            "fortran_order" => fortran_order.replace(literal.truth()?).is_none(),
            "shape" => shape.replace(literal.sizes()?).is_none(),
            _ => return Err(format!("there is a key {key:?}; descr, fortran_order and shape fit")),
        };
        if !known {
            return Err(format!("the key {key:?} comes twice"));
        }
        if !literal.eat(",") {
            literal.expect("}")?;
            break;
        }
    }
    if !literal.rest.is_empty() {
        return Err(format!("there is more after the dictionary: {:?}", literal.start()));
    }
    match (descr, fortran_order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => {
            Ok(Announced { descr, fortran_order, shape })
        }
        _ => Err("one of descr, fortran_order and shape is missing".to_owned()),
    }
}

/// What is left of a literal of Python.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn start(&self) -> String {
        self.rest.chars().take(20).collect()
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) {
            return Ok(());
        }
        Err(format!("expected {token:?}, found {:?}", self.start()))
    }

    /// A text without escapes.
    fn text(&mut self) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let text = quote.and_then(|quote| rest[1..].split_once(quote));
        match text {
            Some((text, rest)) if !text.contains('\\') => {
                self.rest = rest;
                Ok(text)
            }
            _ => Err(format!("expected a text, found {:?}", self.start())),
        }
    }

    /// The type of an element; `None` for a list of fields, which is passed over to its end.
    fn descr(&mut self) -> Result<Option<String>, String> {
        if !self.rest.trim_start().starts_with(['[', '(']) {
            return self.text().map(|text| Some(text.to_owned()));
        }
        let mut depth = 0_u32;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'[' | b'(' => depth += 1,
                b']' | b')' => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(None);
            }
        }
        Err("the list of fields has no end".to_owned())
    }

    fn truth(&mut self) -> Result<bool, String> {
        if self.eat("True") {
            return Ok(true);
        }
        if self.eat("False") {
            return Ok(false);
        }
        Err(format!("expected True or False, found {:?}", self.start()))
    }

    /// `()`, `(2,)` or `(2, 3)`.
    fn sizes(&mut self) -> Result<Vec<u64>, String> {
        let mut sizes = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            let rest = self.rest.trim_start();
            let len = rest.bytes().take_while(u8::is_ascii_digit).count();
            let size = rest[..len].parse();
            sizes.push(size.map_err(|_| format!("expected a size, found {:?}", self.start()))?);
            self.rest = &rest[len..];
            if !self.eat(",") {
                self.expect(")")?;
                // (2) is no tuple but a number.
                if sizes.len() == 1 {
                    return Err("the shape is a number, not a tuple".to_owned());
                }
                break;
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_of_numpy() {
        let header = |descr: &str, fortran_order, shape: &[u64]| Announced {
            descr: Some(descr.to_owned()),
            fortran_order,
            shape: shape.to_vec(),
        };
        for (text, expected) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }    \n",
                header("<f4", false, &[2, 3]),
            ),
            ("{'shape':(),'descr':\"<f2\",'fortran_order':True}", header("<f2", true, &[])),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (7,), }", header("|O", false, &[7])),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        let records = "{'descr': [('x', '<f4'), ('y', [('z', '<i4')])], 'fortran_order': False, \
                       'shape': (1,), }";
        assert_eq!(parse(records).map(|header| header.descr), Ok(None));
    }

    #[test]
    fn what_is_no_such_dictionary() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': ()} + exit()",
            "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': ()}",
            "{'descr': ((((, 'fortran_order': False, 'shape': ()}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': ()}",
            "[1, 2]",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
