//! SHA-256 and its HMAC, for pages only: a fraction of the size of a library that is made to be fast.
//!
//! The collector uses the library; a test holds both against each other. Nothing here is secret, so
//! nothing has to take the same time for every input.
//!
//! Source: FIPS 180-4, sections 4.1.2, 5.1.1, 5.3.3 and 6.2; RFC 2104.

const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// A hash that is fed byte by byte.
struct Sha256 {
    state: [u32; 8],
    /// The words of the block so far.
    block: [u32; 16],
    length: u64,
}

impl Sha256 {
    fn new() -> Sha256 {
        Sha256 { state: START, block: [0; 16], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        let place = self.length as usize % 64;
        // Masked, so that nothing can be out of range: a panic would have to be brought along.
        let word = &mut self.block[(place / 4) & 15];
        *word = *word << 8 | u32::from(byte);
        self.length += 1;
        if place == 63 {
            self.compress();
        }
    }

    fn compress(&mut self) {
        let mut words = self.block;
        let mut state = self.state;
        for (round, constant) in ROUNDS.iter().enumerate() {
            let [a, b, c, d, e, f, g, h] = state;
            let word = words[round & 15];
            let choice = e & f ^ !e & g;
            let majority = a & b ^ a & c ^ b & c;
            let up = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let down = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let first = [up, choice, *constant, word].into_iter().fold(h, u32::wrapping_add);
            let second = down.wrapping_add(majority);
            state = [first.wrapping_add(second), a, b, c, d.wrapping_add(first), e, f, g];
            // The word of sixteen rounds later takes the place of this one.
            let (old, new) = (words[(round + 1) & 15], words[(round + 14) & 15]);
            let low = old.rotate_right(7) ^ old.rotate_right(18) ^ old >> 3;
            let high = new.rotate_right(17) ^ new.rotate_right(19) ^ new >> 10;
            words[round & 15] =
                [low, words[(round + 9) & 15], high].into_iter().fold(word, u32::wrapping_add);
        }
        for (sum, add) in self.state.iter_mut().zip(state) {
            *sum = sum.wrapping_add(add);
        }
    }

    fn finish(mut self) -> [u8; 32] {
        let bits = self.length * 8;
        self.push(0x80);
        while self.length % 64 != 56 {
            self.push(0);
        }
        for byte in bits.to_be_bytes() {
            self.push(byte);
        }
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

/// The hash of `first` and the parts, one after the other. Not generic: one copy serves all.
fn sha256(first: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [first].iter().chain(parts) {
        part.iter().for_each(|byte| hash.push(*byte));
    }
    hash.finish()
}

/// HMAC-SHA256 of the parts, one after the other.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let hashed;
    let mut key = key;
    if key.len() > 64 {
        hashed = sha256(key, &[]);
        key = &hashed;
    }
    let mut pad = [0x36; 64];
    pad.iter_mut().zip(key).for_each(|(byte, with)| *byte ^= with);
    let inner = sha256(&pad, parts);
    // From the inner pad to the outer one: the key stays in it.
    pad.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
    sha256(&pad, &[&inner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    proptest! {
        /// Every length around a block's end, keys longer than a block included.
        #[test]
        fn it_equals_the_library(
            key in prop::collection::vec(any::<u8>(), 0..140),
            one in prop::collection::vec(any::<u8>(), 0..140),
            two in prop::collection::vec(any::<u8>(), 0..140),
        ) {
            let mut library = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length");
            library.update(&one);
            library.update(&two);
            let want: [u8; 32] = library.finalize().into_bytes().into();
            prop_assert_eq!(hmac(&key, &[&one, &two]), want);
        }
    }
}
