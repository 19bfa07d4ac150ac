//! Card numbers in what databases hold: ISO/IEC 7812 lengths and first digits of the great networks, and the Luhn check
//! digit.
//!
//! Between groups of digits stands nothing or one blank or dash of any sort, and then the groups may have any length. More
//! of them, a tab, a line's end, a point, a slash or an underscore also separate dates, versions, coordinates and the columns
//! of a table: there the groups must be those that cards show.

/// First digits, from and to, and the lengths of numbers that begin so.
const NETWORKS: &[(u32, u32, &[usize])] = &[
    (4, 4, &[13, 16, 19]),             // Visa
    (51, 55, &[16]),                   // Mastercard
    (2221, 2720, &[16]),               // Mastercard
    (34, 34, &[15]),                   // American Express
    (37, 37, &[15]),                   // American Express
    (3528, 3589, &[16, 17, 18, 19]),   // JCB
    (300, 305, &[14, 16, 17, 18, 19]), // Diners Club
    (36, 36, &[14, 16, 17, 18, 19]),   // Diners Club
    (38, 39, &[14, 16, 17, 18, 19]),   // Diners Club
    (6011, 6011, &[16, 17, 18, 19]),   // Discover
    (644, 659, &[16, 17, 18, 19]),     // Discover
    (62, 62, &[16, 17, 18, 19]),       // UnionPay
];

/// A card's digits may stand in at most so many groups.
const MOST_GROUPS: usize = 5;

/// Groups that cards and receipts show.
const PRINTED: &[&[usize]] =
    &[&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 4, 4, 1], &[4, 6, 5], &[4, 6, 4], &[6, 13], &[6, 10], &[8, 8]];

/// So many separators between two groups at most.
const MOST_SEPARATORS: u8 = 4;

/// A word of hexadecimal digits with letters among them is a hash or a random name from this length on.
const SHORTEST_HASH: usize = 24;

/// The zeros of scripts whose digits follow each other: Arabic, Persian, Devanagari, full width, mathematical bold.
const ZEROS: [u32; 5] = [0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE];

/// What stands between two groups of digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// One blank or dash.
    Tight,
    /// What separates other things as well.
    Loose,
}

/// What a character is to a card number.
enum Part {
    Digit(u8),
    /// Nobody sees it.
    Invisible,
    Separator(Gap),
    /// The number ends here.
    Other,
}

/// A card number stands in the text, or in what its escapes (`\u00a0`, `\t`) stand for.
pub fn contains(text: &str) -> bool {
    shows(text) || text.contains('\\') && shows(&unescaped(text))
}

/// A card number stands in bytes, taken as text: UTF-8, or UTF-16, whose digits have a zero byte beside them.
pub fn in_bytes(bytes: &[u8]) -> bool {
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    contains(&String::from_utf8_lossy(&digits))
}

/// A number, as a server prints it, is a card number.
pub fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if text.contains(['e', 'E']) {
        return text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0 && contains(&format!("{number:.0}")));
    }
    fraction.bytes().all(|byte| byte == b'0') && contains(whole)
}

fn shows(text: &str) -> bool {
    let mut groups: Vec<(Vec<u8>, Gap)> = Vec::new();
    let (mut group, mut before) = (Vec::new(), Gap::Tight);
    let (mut gap, mut separators) = (Gap::Tight, 0_u8);
    for character in words(text).flat_map(str::chars).chain(['!']) {
        match part(character) {
            Part::Invisible => {}
            Part::Digit(digit) => {
                if group.is_empty() {
                    if separators > MOST_SEPARATORS {
                        groups.clear();
                    }
                    before = if separators > 1 { Gap::Loose } else { gap };
                    (gap, separators) = (Gap::Tight, 0);
                }
                group.push(digit);
            }
            other => {
                if !group.is_empty() {
                    groups.push((std::mem::take(&mut group), before));
                    if ends_with_card(&groups) {
                        return true;
                    }
                }
                match other {
                    Part::Separator(found) => {
                        separators = separators.saturating_add(1);
                        gap = if found == Gap::Loose { Gap::Loose } else { gap };
                    }
                    _ => groups.clear(),
                }
            }
        }
    }
    false
}

/// The last groups make a card number; each has with it what stands before it.
fn ends_with_card(groups: &[(Vec<u8>, Gap)]) -> bool {
    let last = &groups[groups.len().saturating_sub(MOST_GROUPS)..];
    (0..last.len()).any(|from| {
        let groups = &last[from..];
        let tight = groups[1..].iter().all(|(_, gap)| *gap == Gap::Tight);
        let printed = || {
            let lengths: Vec<_> = groups.iter().map(|(digits, _)| digits.len()).collect();
            PRINTED.contains(&lengths.as_slice())
        };
        (tight || printed()) && is_card(&groups.iter().flat_map(|(digits, _)| digits).copied().collect::<Vec<_>>())
    })
}

/// The text without its hashes and UUIDs: one in some thousands would pass for a card by chance. What follows such a word stays,
/// so that nothing grows together.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let runs = text.split_inclusive(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    runs.flat_map(|run| {
        let word = run.trim_end_matches(|last: char| !last.is_ascii_alphanumeric() && last != '-');
        let is_uuid = is_uuid(word);
        let inner = if is_uuid { &run[word.len()..] } else { run };
        let cut = if is_uuid { "!" } else { "" };
        std::iter::once(cut).chain(inner.split_inclusive(|character: char| !character.is_ascii_alphanumeric()).map(
            |run| match is_hash(run.trim_end_matches(|last: char| !last.is_ascii_alphanumeric())) {
                true => "!",
                false => run,
            },
        ))
    })
}

fn is_hash(word: &str) -> bool {
    word.len() >= SHORTEST_HASH
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_uuid(word: &str) -> bool {
    let groups = word.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn part(character: char) -> Part {
    if let Some(digit) = digit(character) {
        return Part::Digit(digit);
    }
    match character {
        // soft hyphen, zero-width characters, marks of direction, joiners, byte order mark
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
            Part::Invisible
        }
        '-'
        | '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{2212}'
        | '\u{30fc}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff0d}'
        | '\u{ff70}' => Part::Separator(Gap::Tight),
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Part::Separator(Gap::Loose),
        '.' | '/' | '_' | '\\' | '\u{b7}' | '\u{2022}' | '\u{2044}' | '\u{30fb}' | '\u{ff0e}' | '\u{ff0f}' => {
            Part::Separator(Gap::Loose)
        }
        blank if blank.is_whitespace() => Part::Separator(Gap::Tight),
        _ => Part::Other,
    }
}

fn digit(character: char) -> Option<u8> {
    let code = u32::from(character);
    let of_script = |zero: &u32| code.checked_sub(*zero).filter(|digit| *digit < 10);
    let digit = character.to_digit(10).or_else(|| ZEROS.iter().find_map(of_script))?;
    u8::try_from(digit).ok()
}

/// What JSON and programs write for characters is put in their place.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut characters = rest.chars();
        let (character, length) = match characters.next() {
            Some('u') => {
                let code = rest.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                (code.and_then(char::from_u32).unwrap_or('\u{fffd}'), if code.is_some() { 5 } else { 1 })
            }
            Some('t') => ('\t', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some(other) => (other, other.len_utf8()),
            None => break,
        };
        plain.push(character);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

fn is_card(digits: &[u8]) -> bool {
    let begins = |first: u32| {
        let length = first.ilog10() as usize + 1;
        digits.iter().take(length).fold(0, |number, digit| number * 10 + u32::from(*digit))
    };
    let network = |(from, to, lengths): &(u32, u32, &[usize])| {
        lengths.contains(&digits.len()) && (*from..=*to).contains(&begins(*from))
    };
    NETWORKS.iter().any(network) && luhn(digits)
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_seen_however_they_are_written() {
        // numbers that the networks publish for tests
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "card: 5555555555554444, exp 12/28",
            "5555 5555 5555 4444 12/28",
            "12 4111 1111 1111 1111",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "3530111333300000",
            "30569309025904",
            "6011111111111117",
            "4222222222222",
            "４１１１　１１１１　１１１１　１１１１",
            "カード番号は4111-1111-1111-1111です",
            "card4111111111111111", // no hash
            "9f86d081884c7d659a2feaa0c55ad015 4111111111111111",
            "411111111111111100000000 4111111111111111", // too long, but no hash
            "123e4567-e89b-12d3-a456-426614174000 4111111111111111",
            "4111  1111  1111  1111",
            "4111 - 1111 - 1111 - 1111",
            "4111\t1111\t1111\t1111",
            "4111\r\n1111\r\n1111\r\n1111\r\n",
            "3782.822463.10005",
            "4111/1111/1111/1111",
            "4111_1111_1111_1111",
            "4１11 11１1 1111 1111",
            "٤١١١ ١١١١ ١١١١ ١١١١",
            "𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏",
            "41\u{200b}11111111\u{ad}111111",
            r#"{"a":[{"pan":"4111\u00a01111\u00a01111\u00a01111"}]}"#,
            r#"["4111\t1111\t1111\t1111"]"#,
            r"4111\/1111\/1111\/1111",
            "{4111111111111111,NULL}",
            "[4111111111111111,4111111111111112)",
            "\"a\"=>\"4111111111111111\"",
        ] {
            assert!(contains(number), "{number}");
        }
    }

    #[test]
    fn any_blank_and_any_dash_separates() {
        let blanks = "\u{20}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\
                      \u{2009}\u{200a}\u{202f}\u{205f}\u{3000}";
        let dashes = "-\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{ff0d}\u{fe63}";
        for one in blanks.chars().chain(dashes.chars()) {
            for number in [["4111", "1111", "1111", "1111"].as_slice(), &["3782", "822463", "10005"]] {
                assert!(contains(&number.join(&one.to_string())), "U+{:04X}", u32::from(one));
                assert!(contains(&number.join(&format!("{one}{one}"))), "U+{:04X} twice", u32::from(one));
            }
        }
    }

    #[test]
    fn other_numbers_are_not() {
        for number in [
            "",
            "4111111111111112",  // check digit
            "41111111111111110", // longer
            "1234567812345670",  // nobody's first digits
            "356938035643809",   // an IMEI
            "090-1234-5678",
            "4111 1111, 1111 1111", // two numbers
            "2026-11-22 02:30:00 12345",
            "2026-11-22 10:11:12.123456",
            "2221-01-01 00:00:00.000000",
            "9f86d081884c4111111111111111a2feaa0c55ad", // a hash
            "41111111-1111-1111-1111-111111111111",     // a UUID
            "4.111111111111111",                        // a coordinate
            "41.11111111111111 4.1111111111111",
            "41 / 11 / 11 / 11 / 1111 1111",
            "4111     1111     1111     1111",
            r"4111\x1111\x1111\x1111",
        ] {
            assert!(!contains(number), "{number}");
        }
    }

    #[test]
    fn numbers_and_bytes_are_read_as_their_kind_prints_them() {
        for number in ["4111111111111111", "4111111111111111.000", "4.111111111111111e+15", "4.111111111111111e15"] {
            assert!(is_number(number), "{number}");
        }
        for number in ["4111111111111111.5", "4111111111111112", "4.1e15", "NaN", "inf", "1e300", "35.68123456789012"] {
            assert!(!is_number(number), "{number}");
        }
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert!(in_bytes(b"\xff\xfe4111 1111 1111 1111\x00") && in_bytes(&utf16("4111 1111 1111 1111")));
        assert!(!in_bytes(b"\x00\x01\xff4111") && !in_bytes(b""));
    }

    proptest::proptest! {
        #[test]
        fn one_changed_digit_is_no_card(place in 0_usize..16, more in 1_u8..10) {
            let mut digits: Vec<u8> = "4111111111111111".bytes().map(|byte| byte - b'0').collect();
            digits[place] = (digits[place] + more) % 10;
            proptest::prop_assert!(!luhn(&digits));
        }

        #[test]
        fn never_panics(text in proptest::prelude::any::<String>(), close in r"[4\\u01 .\-/x]{0,40}") {
            let _ = (contains(&text), contains(&close), is_number(&close), in_bytes(text.as_bytes()));
        }
    }
}
