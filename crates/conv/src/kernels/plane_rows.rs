//! Planes of which several threads write rows.

use std::marker::PhantomData;
use std::ops::Range;

use crate::out::Out;

/// How planes lie in memory, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaneLayout {
    /// Rows and columns before a plane is pooled.
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Whether each square of two by two pixels is a single one.
    pub(crate) pool: bool,
}

impl PlaneLayout {
    /// Elements of a plane.
    pub(crate) fn plane_len(&self) -> usize {
        if self.pool { (self.out_h / 2) * (self.out_w / 2) } else { self.out_h * self.out_w }
    }
}

/// Some rows of planes, or planes as a whole: an [`Out`] that can be cut along the rows as well.
///
/// It stands for the exclusive borrow of its rows in each of the planes; what lies between them is borrowed
/// by others, so that there can be no slice of it.
#[derive(Debug)]
pub(crate) struct PlaneRows<'y, T> {
    y: *mut T,
    len: usize,
    /// Of as many elements, if it is asked for.
    argmax: Option<*mut u8>,
    /// The rows, counted before they are pooled, and the planes that they are of; all, if there is nothing.
    rows: Option<(Range<usize>, PlaneLayout)>,
    borrow: PhantomData<(&'y mut [T], &'y mut [u8])>,
}

// SAFETY: it stands for exclusive borrows of elements that no other has.
unsafe impl<T: Send> Send for PlaneRows<'_, T> {}

impl<'y, T> From<Out<'y, T>> for PlaneRows<'y, T> {
    fn from(out: Out<'y, T>) -> Self {
        let Out { y, argmax } = out;
        assert!(argmax.is_empty() || argmax.len() == y.len());
        let argmax = (!argmax.is_empty()).then_some(argmax.as_mut_ptr());
        Self { y: y.as_mut_ptr(), len: y.len(), argmax, rows: None, borrow: PhantomData }
    }
}

impl<'y, T> PlaneRows<'y, T> {
    /// Elements of the planes, other rows and all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.y
    }

    pub(crate) fn argmax(&mut self) -> Option<*mut u8> {
        self.argmax
    }

    pub(crate) fn has_argmax(&self) -> bool {
        self.argmax.is_some()
    }

    /// Panics if these rows of such planes may not be written.
    pub(crate) fn check(&self, rows: Range<usize>, planes: PlaneLayout) {
        let Some((own, form)) = &self.rows else { return };
        assert!(*form == planes && own.start <= rows.start && rows.end <= own.end);
    }

    /// The rows before one, and the others. Of a plane that is pooled, two rows are one.
    ///
    /// # Panics
    ///
    /// If they are no such planes, or that row would be half of one.
    pub(crate) fn split_rows(self, row: usize, planes: PlaneLayout) -> [Self; 2] {
        let (own, form) = self.rows.clone().unwrap_or((0..planes.out_h, planes));
        assert!(form == planes && own.contains(&row));
        assert!(!planes.pool || row.is_multiple_of(2));
        let part = |rows| Self { rows: Some((rows, planes)), ..self };
        [part(own.start..row), part(row..own.end)]
    }

    /// Some of the planes.
    ///
    /// # Panics
    ///
    /// If there are none such, or they begin or end within one.
    pub(crate) fn planes(&mut self, range: Range<usize>, planes: PlaneLayout) -> PlaneRows<'_, T> {
        assert!(self.rows.as_ref().is_none_or(|(_, form)| *form == planes));
        let at = range.start * planes.plane_len()..range.end * planes.plane_len();
        assert!(at.start <= at.end && at.end <= self.len);
        PlaneRows {
            y: self.y.wrapping_add(at.start),
            len: at.len(),
            argmax: self.argmax.map(|argmax| argmax.wrapping_add(at.start)),
            rows: self.rows.clone(),
            borrow: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Out, PlaneLayout, PlaneRows};

    #[test]
    fn rows_of_others_are_refused() {
        let planes = PlaneLayout { out_h: 6, out_w: 4, pool: true };
        let (mut y, mut argmax) = ([0.0_f32; 3 * 6], [0_u8; 3 * 6]);
        let all = PlaneRows::from(Out { y: &mut y, argmax: &mut argmax });
        all.check(0..6, planes);
        let [above, below] = all.split_rows(2, planes);
        let [mut middle, last] = below.split_rows(4, planes);
        let refused = |rows: &PlaneRows<'_, f32>, range: std::ops::Range<usize>, planes| {
            catch_unwind(AssertUnwindSafe(|| rows.check(range, planes))).is_err()
        };
        above.check(0..2, planes);
        last.check(4..6, planes);
        middle.check(2..4, planes);
        for range in [0..3, 1..3, 3..5] {
            assert!(refused(&middle, range, planes));
        }
        assert!(refused(&middle, 2..4, PlaneLayout { pool: false, ..planes }));
        let one = middle.planes(1..2, planes);
        assert!(refused(&one, 0..6, planes) && one.len() == 6);
        assert!(catch_unwind(AssertUnwindSafe(|| last.split_rows(5, planes))).is_err());
    }
}
