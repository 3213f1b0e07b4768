//! Damaged copies of good inputs.

/// Numbers that a size or an offset goes wrong at.
const EDGES: [u8; 8] = [0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff];

/// A generator of damaged inputs, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Damage {
    state: u64,
}

impl Damage {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A place in a file: every second one in its head, where the sizes stand.
    fn place(&mut self, len: usize) -> usize {
        let end = if self.below(2) == 0 { len.min(64) } else { len };
        self.below(end)
    }

    /// One of the inputs with one to four things wrong.
    ///
    /// # Panics
    ///
    /// If there is no input.
    pub fn damaged(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.damage(&mut bytes, inputs);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.extend([self.next() as u8; 3]);
            return;
        }
        let at = self.place(bytes.len());
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 => bytes[at] = EDGES[self.below(EDGES.len())],
            // A size of four or eight bytes, either end first.
            3 => {
                let len = [4, 8][self.below(2)].min(bytes.len() - at);
                bytes[at..at + len].fill(EDGES[self.below(EDGES.len())]);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..(at + 1 + self.below(16)).min(bytes.len()))),
            6 => {
                let end = (at + 1 + self.below(64)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            // The rest of another one.
            _ => {
                let other = &inputs[self.below(inputs.len())];
                bytes.truncate(at);
                bytes.extend(other.iter().skip(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Damage;

    #[test]
    fn the_same_seed_does_the_same_damage() {
        let inputs = [b"one input".to_vec(), b"and another, which is longer".to_vec(), Vec::new()];
        let draw = |seed| {
            let mut damage = Damage::new(seed);
            (0..500).map(|_| damage.damaged(&inputs)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let changed = draw(1).iter().filter(|bytes| !inputs.contains(bytes)).count();
        assert!(changed > 400, "{changed} of 500 were damaged");
        let lengths = draw(1).iter().map(Vec::len).collect::<std::collections::BTreeSet<_>>();
        assert!(lengths.len() > 20, "{lengths:?}");
    }
}
