//! Card numbers in texts: ISO/IEC 7812 lengths and first digits of the great networks, and the Luhn check digit.

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

/// A word of hexadecimal digits with letters among them is a hash or a random name from this length on.
const SHORTEST_HASH: usize = 24;

/// A card number stands in the text, with or without spaces or hyphens between groups of digits, in ASCII or full width.
pub fn contains(text: &str) -> bool {
    let mut groups: Vec<Vec<u8>> = Vec::new();
    let (mut group, mut gap) = (Vec::new(), 0_u8);
    let words = text.split_inclusive(|character: char| !character.is_ascii_alphanumeric());
    let words = words.filter(|word| !is_hash(word.trim_end_matches(|last: char| !last.is_ascii_alphanumeric())));
    for character in words.flat_map(str::chars).chain(['\n']) {
        match digit(character) {
            Some(digit) => {
                if gap > 1 {
                    groups.clear();
                }
                gap = 0;
                group.push(digit);
            }
            None => {
                if !group.is_empty() {
                    groups.push(std::mem::take(&mut group));
                    let last = &groups[groups.len().saturating_sub(MOST_GROUPS)..];
                    if (0..last.len()).any(|from| is_card(&last[from..].concat())) {
                        return true;
                    }
                }
                gap = if is_separator(character) { gap.saturating_add(1) } else { u8::MAX };
            }
        }
    }
    false
}

/// One hash in some thousands would pass for a card by chance.
fn is_hash(word: &str) -> bool {
    word.len() >= SHORTEST_HASH
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn digit(character: char) -> Option<u8> {
    let ascii = match character {
        '\u{ff10}'..='\u{ff19}' => char::from_u32(u32::from(character) - 0xff10 + 0x30)?,
        other => other,
    };
    ascii.to_digit(10).and_then(|digit| u8::try_from(digit).ok())
}

fn is_separator(character: char) -> bool {
    matches!(
        character,
        ' ' | '-'
            | '\u{3000}'
            | '\u{2010}'
            | '\u{2011}'
            | '\u{2013}'
            | '\u{2212}'
            | '\u{ff0d}'
            | '\u{ff70}'
            | '\u{30fc}'
    )
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
        ] {
            assert!(contains(number), "{number}");
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
            "4111 1111, 1111 1111",   // two numbers
            "4111  1111  1111  1111", // a table's columns
            "2026-11-22 02:30:00 12345",
            "9f86d081884c4111111111111111a2feaa0c55ad", // a hash
        ] {
            assert!(!contains(number), "{number}");
        }
    }

    proptest::proptest! {
        #[test]
        fn one_changed_digit_is_no_card(place in 0_usize..16, more in 1_u8..10) {
            let mut digits: Vec<u8> = "4111111111111111".bytes().map(|byte| byte - b'0').collect();
            digits[place] = (digits[place] + more) % 10;
            proptest::prop_assert!(!luhn(&digits));
        }
    }
}
