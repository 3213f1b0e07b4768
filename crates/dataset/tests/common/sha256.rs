//! SHA-256 (FIPS 180-4), so that the tests need no crate for it.

use std::fmt::Write;

/// The first 32 bits of the fractional part of `root(p)` for the first `N` primes `p`, found in
/// whole numbers: the largest `r` with `r^power <= p * 2^(32 * power)`.
fn prime_roots<const N: usize>(power: u32) -> [u32; N] {
    let mut primes = (2_u128..).filter(|p| (2..*p).all(|d| p % d != 0));
    std::array::from_fn(|_| {
        let p = primes.next().expect("there are always more primes");
        let target = p << (32 * power);
        let mut root = 0_u128;
        for bit in (0..37).rev() {
            let next = root | 1 << bit;
            if next.pow(power) <= target {
                root = next;
            }
        }
        root as u32
    })
}

/// The digest of `message` in hexadecimal.
pub(crate) fn sha256(message: &[u8]) -> String {
    let k: [u32; 64] = prime_roots(3);
    let mut state: [u32; 8] = prime_roots(2);

    let whole = message.len() / 64 * 64;
    let mut tail = message[whole..].to_vec();
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    tail.extend((8 * message.len() as u64).to_be_bytes());
    for block in message[..whole].chunks_exact(64).chain(tail.chunks_exact(64)) {
        compress(&mut state, block, &k);
    }

    let mut hex = String::new();
    for word in state {
        write!(hex, "{word:08x}").expect("writing to memory");
    }
    hex
}

fn compress(state: &mut [u32; 8], block: &[u8], k: &[u32; 64]) {
    let mut schedule = [0_u32; 64];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    for t in 16..64 {
        let (near, far) = (schedule[t - 2], schedule[t - 15]);
        let sigma0 = far.rotate_right(7) ^ far.rotate_right(18) ^ (far >> 3);
        let sigma1 = near.rotate_right(17) ^ near.rotate_right(19) ^ (near >> 10);
        schedule[t] = schedule[t - 16]
            .wrapping_add(sigma0)
            .wrapping_add(schedule[t - 7])
            .wrapping_add(sigma1);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for t in 0..64 {
        let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 =
            h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(k[t]).wrapping_add(schedule[t]);
        let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let t2 = sum0.wrapping_add(majority);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    for (word, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(value);
    }
}
