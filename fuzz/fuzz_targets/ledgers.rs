#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (sunset_fuzz::targets::ledgers::TARGET.check)(input);
});
