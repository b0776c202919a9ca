//! Slots in the maps of endpoints. A Service port keeps its slots when others come and go, so that
//! a change of one touches the elements of one.

use std::collections::BTreeSet;

/// Slots for one use of a Service port; more endpoints than these are not used.
pub(super) const BLOCK: u32 = 4096;
const BLOCKS: u32 = 1 << 20;

/// The blocks given out. Services ask in order of their names, so equal inputs give equal slots.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeSet<u32>);

impl Slots {
    /// The first slot of a free block: where the name hashes to, or the next one free.
    pub(super) fn block(&mut self, name: &str) -> u32 {
        let mut block = hash(name) % BLOCKS;
        while !self.0.insert(block) {
            block = (block + 1) % BLOCKS;
        }
        block * BLOCK
    }
}

/// The map that has a block. Blocks are spread over some maps, because the kernel takes time in
/// proportion to the elements of a map times the rules that use it.
pub(super) fn map_of(first: u32) -> String {
    const MAPS: u32 = 128;
    format!("endpoints-{:02x}", first / BLOCK % MAPS)
}

/// FNV-1a: the same in every version and on every machine.
fn hash(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = text.bytes().fold(0x811c_9dc5, step);
    hash ^ (hash >> 16)
}
