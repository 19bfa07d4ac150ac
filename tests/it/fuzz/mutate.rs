//! Changes inputs, the same way for the same seed.

use crate::support::random::Random;

/// No input gets longer, in bytes.
const LONGEST: usize = 64 * 1024;

/// Numbers at which programs err.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "127",
    "128",
    "255",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "0.1",
    "-0",
    "00",
    "999999999999999999999",
];

pub struct Mutator<'a> {
    pub random: Random,
    pub words: &'a [&'static str],
}

impl Mutator<'_> {
    /// One of the inputs, changed in one to some places.
    pub fn change(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one(inputs).clone();
        let changes = if self.chance(8) { 1 + self.below(30) } else { 1 + self.below(3) };
        for _ in 0..changes {
            let other = self.one(inputs);
            self.once(&mut input, other);
        }
        input.truncate(LONGEST);
        input
    }

    fn once(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        match self.below(13) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.byte();
            }
            2 => {
                let (at, byte) = (self.below(input.len() + 1), self.byte());
                input.insert(at, byte);
            }
            3 => drop(input.drain(self.range(input.len()))),
            4 => input.truncate(self.below(input.len() + 1)),
            5 => {
                let range = self.range(input.len());
                let times = if self.chance(20) { 2_000 } else { 1 + self.below(8) };
                let (at, times) = (range.end, times.min(LONGEST / range.len().max(1)));
                let part = input[range].repeat(times);
                input.splice(at..at, part);
            }
            6 | 7 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                let range = if self.chance(2) { self.range(input.len()) } else { self.point(input.len()) };
                input.splice(range, word.bytes());
            }
            8 => {
                let (range, part) = (self.range(input.len()), self.range(other.len()));
                input.splice(range, other[part].to_vec());
            }
            9 => {
                let (start, end) = (self.below(input.len() + 1), self.below(other.len() + 1));
                input.truncate(start);
                input.extend_from_slice(&other[end..]);
            }
            10 => self.number(input),
            11 => self.line(input),
            _ => {
                let (from, to) = (self.range(input.len()), self.below(input.len() + 1));
                let part = input[from].to_vec();
                input.splice(to..to, part);
            }
        }
        input.truncate(4 * LONGEST);
    }

    /// Puts another number in the place of one.
    fn number(&mut self, input: &mut Vec<u8>) {
        let starts: Vec<_> = (0..input.len())
            .filter(|at| input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit()))
            .collect();
        if starts.is_empty() {
            return;
        }
        let start = starts[self.below(starts.len())];
        let length = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = NUMBERS[self.below(NUMBERS.len())];
        input.splice(start..start + length, number.bytes());
    }

    /// Leaves a line out, puts it there twice, or puts it elsewhere.
    fn line(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let from = self.below(lines.len());
        let line = if self.chance(2) { lines[from].clone() } else { lines.remove(from) };
        if !self.chance(3) {
            lines.insert(self.below(lines.len() + 1), line);
        }
        *input = lines.concat();
    }

    fn one<'a>(&mut self, inputs: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &inputs[self.below(inputs.len())]
    }

    fn byte(&mut self) -> u8 {
        const OFTEN: &[u8] = b"\0\n\r\t \"'`{}[]():,;.#&*!|>%@/\\-+0129aZ~\x7f\x80\xc3\xff";
        if self.chance(2) { OFTEN[self.below(OFTEN.len())] } else { self.below(256).try_into().unwrap() }
    }

    /// A part of so many bytes, most often a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.chance(4) { length - start } else { (length - start).min(16) };
        start..start + self.below(most + 1)
    }

    fn point(&mut self, length: usize) -> std::ops::Range<usize> {
        let at = self.below(length + 1);
        at..at
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit as u64).try_into().unwrap()
    }
}
