//! Numbers that look random and are the same each time: SplitMix64 (Steele, Lea and Flood, 2014). Not for secrets.

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and not including `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        // the product's upper half spreads evenly over the range, as far as anybody here could tell
        let product = u128::from(self.next()) * u128::from(end);
        u32::try_from(product >> 64).unwrap_or(0)
    }

    pub fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// Small numbers are more likely than great ones: most customers do little, a few do much.
    pub fn skewed(&mut self, end: u32) -> u32 {
        let reach = self.below(end) + 1;
        self.below(reach)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let length = u32::try_from(from.len()).unwrap_or(u32::MAX);
        from[self.below(length) as usize]
    }
}
