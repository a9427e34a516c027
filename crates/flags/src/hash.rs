//! Which bucket a user falls into. Published byte-exact in `docs/FLAGS.md`, with vectors in `vectors/`.
//!
//! Integers only: floats round differently from language to language. Kept while a percentage changes, so raising one never takes a
//! user out.

use crate::share::BUCKETS;

/// Who is in.
const SHARE_SEED: u32 = 0;
/// Which variant, independent of who is in, so that a rising share moves nobody from one variant to another.
const VARIANT_SEED: u32 = 0x9747_b28c;

/// The bucket that decides whether a user is in a share: 0 to 99,999.
pub fn bucket(salt: &str, value: &str) -> u32 {
    to_bucket(murmur3(SHARE_SEED, salt.as_bytes(), value.as_bytes()))
}

/// The bucket that decides which of several variants a user gets: 0 to 99,999.
pub fn variant_bucket(salt: &str, value: &str) -> u32 {
    to_bucket(murmur3(VARIANT_SEED, salt.as_bytes(), value.as_bytes()))
}

fn to_bucket(hash: u32) -> u32 {
    // Below 100,000: the product of two 32-bit numbers, its upper half.
    ((u64::from(hash) * u64::from(BUCKETS)) >> 32) as u32
}

/// MurmurHash3, x86, 32 bits, of `a` followed by `b`, without putting them together in memory.
pub(crate) fn murmur3(seed: u32, a: &[u8], b: &[u8]) -> u32 {
    let mut h = seed;
    let length = a.len().wrapping_add(b.len()) as u32;
    let whole = a.len() & !3;
    let (head, rest) = a.split_at(whole);
    for block in head.chunks_exact(4) {
        h = mix(h, word(block));
    }
    // Up to three bytes of `a` begin the block that `b` fills.
    let mut tail = [0u8; 4];
    tail[..rest.len()].copy_from_slice(rest);
    let mut used = rest.len();
    let mut b = b;
    if used > 0 {
        let take = b.len().min(4 - used);
        tail[used..used + take].copy_from_slice(&b[..take]);
        used += take;
        b = &b[take..];
        if used == 4 {
            h = mix(h, u32::from_le_bytes(tail));
            (tail, used) = ([0; 4], 0);
        }
    }
    if used == 0 {
        let mut blocks = b.chunks_exact(4);
        for block in blocks.by_ref() {
            h = mix(h, word(block));
        }
        let rest = blocks.remainder();
        tail[..rest.len()].copy_from_slice(rest);
        used = rest.len();
    }
    if used > 0 {
        h ^= scramble(u32::from_le_bytes(tail));
    }
    finish(h ^ length)
}

fn word(block: &[u8]) -> u32 {
    block.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn scramble(k: u32) -> u32 {
    k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn mix(h: u32, block: u32) -> u32 {
    (h ^ scramble(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn finish(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}
