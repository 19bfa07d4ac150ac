//! The rows of an upload: how identifiers are normalized and hashed, and the file that they make.

use crate::recipients::{client::Upload, phone::international};
use sha2::{Digest, Sha256};
use std::fmt;

/// A row's 32 bytes: a digest, or an advertising id's 16 and zeroes. Millions of them are held at a time.
pub type Row = [u8; 32];

/// What tells two rows apart.
pub type Mark = [u8; 16];

/// Rows in one part of a body.
const PART: usize = 2000;

/// Digits and letters alone follow it in a file, so no row can look like it.
const MULTIPART: &str = "multipart/form-data; boundary=sunset-8f2d1c5b7e9a4036";
const HEAD: &str = "--sunset-8f2d1c5b7e9a4036\r\nContent-Disposition: form-data; name=\"file\"; \
                    filename=\"members.txt\"\r\nContent-Type: text/plain\r\n\r\n";
const TAIL: &str = "\r\n--sunset-8f2d1c5b7e9a4036--\r\n";

/// What a list's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadType {
    MailAndPhone,
    Idfa,
    Aaid,
}

impl UploadType {
    /// As `upload` in the settings has it.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("idfa") => Self::Idfa,
            Some("aaid") => Self::Aaid,
            _ => Self::MailAndPhone,
        }
    }

    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::MailAndPhone => "MAIL_ADDRESS_AND_PHONE_NUMBER",
            Self::Idfa => "IDFA",
            Self::Aaid => "AAID",
        }
    }

    /// The identifiers that make rows.
    pub fn identifiers(self) -> &'static [&'static str] {
        match self {
            Self::MailAndPhone => &["email", "phone"],
            Self::Idfa => &["idfa"],
            Self::Aaid => &["aaid"],
        }
    }

    /// A person's rows; `country` is what stands instead of a phone number's leading 0.
    pub fn rows<'a>(self, country: u64, get: impl Fn(&str) -> Option<&'a str>) -> Vec<Row> {
        let rows = match self {
            Self::MailAndPhone => [
                get("email").and_then(email).map(|text| digest(&text)),
                get("phone")
                    .and_then(|text| international(text, Some(&country.to_string())).number())
                    .map(|text| digest(&text)),
            ],
            Self::Idfa => [get("idfa").and_then(advertising_id), None],
            Self::Aaid => [get("aaid").and_then(advertising_id), None],
        };
        rows.into_iter().flatten().collect()
    }

    /// Bytes of a line, with its end.
    pub fn line(self) -> usize {
        if self == Self::MailAndPhone { 65 } else { 37 }
    }

    fn write(self, row: &Row, out: &mut Vec<u8>) {
        match self {
            Self::MailAndPhone => out.extend_from_slice(hex::encode(row).as_bytes()),
            Self::Idfa | Self::Aaid => {
                let digits = hex::encode(&row[..16]);
                let digits = if self == Self::Idfa { digits.to_uppercase() } else { digits };
                let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                out.extend_from_slice(groups.join("-").as_bytes());
            }
        }
        out.push(b'\n');
    }
}

/// A row's mark.
pub fn mark(row: &Row) -> Mark {
    let mut mark = Mark::default();
    mark.copy_from_slice(&row[..16]);
    mark
}

/// The file of all rows, one a line, as one part of a form. It is written while it is sent: what is kept is the rows.
pub struct File {
    upload_type: UploadType,
    rows: Vec<Row>,
}

impl File {
    /// Sorts the rows, so that the same people give the same bytes.
    pub fn new(upload_type: UploadType, mut rows: Vec<Row>) -> Self {
        rows.sort_unstable();
        rows.dedup();
        Self { upload_type, rows }
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Of the file alone.
    pub fn bytes(&self) -> usize {
        self.rows.len() * self.upload_type.line()
    }

    /// The first half of the file's SHA-256, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.rows.chunks(PART).for_each(|rows| hash.update(self.lines(rows)));
        hex::encode(&hash.finalize()[..16])
    }

    fn lines(&self, rows: &[Row]) -> Vec<u8> {
        let mut lines = Vec::with_capacity(rows.len() * self.upload_type.line());
        rows.iter().for_each(|row| self.upload_type.write(row, &mut lines));
        lines
    }
}

impl Upload for File {
    fn content_type(&self) -> &str {
        MULTIPART
    }

    fn length(&self) -> u64 {
        (HEAD.len() + self.bytes() + TAIL.len()) as u64
    }

    fn part(&self, number: usize) -> Option<Vec<u8>> {
        let parts = self.rows.len().div_ceil(PART);
        match number {
            0 => Some(HEAD.into()),
            number if number <= parts => {
                let end = (number * PART).min(self.rows.len());
                Some(self.lines(&self.rows[(number - 1) * PART..end]))
            }
            number if number == parts + 1 => Some(TAIL.into()),
            _ => None,
        }
    }
}

/// How many, not who.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("File").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// Half-width: full-width forms of ASCII become ASCII.
fn half_width(text: &str) -> String {
    let narrow = |letter: char| match letter {
        '\u{3000}' => ' ',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(letter) - 0xFEE0).unwrap_or(letter),
        other => other,
    };
    text.chars().map(narrow).collect()
}

/// Half-width, in small letters, without blanks around; `None` where it is no address.
fn email(text: &str) -> Option<String> {
    let text = half_width(text).trim().to_lowercase();
    text.contains('@').then_some(text)
}

fn digest(text: &str) -> Row {
    Sha256::digest(text).into()
}

/// Eight, four, four, four and twelve hexadecimal digits; all zeroes are nobody.
fn advertising_id(text: &str) -> Option<Row> {
    let text = text.trim();
    let hyphens: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
    let mut row = Row::default();
    if text.len() != 36 || hyphens != [8, 13, 18, 23] {
        return None;
    }
    hex::decode_to_slice(text.replace('-', ""), &mut row[..16]).ok()?;
    (row != Row::default()).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_normalized_and_hashed_as_published() {
        // The two digests stand in KARTE's guide to hashing for advertisers (support.karte.io/faq/1MZmzZXZNsgZ4Vd22tjT5T).
        const JOHN: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
        const PHONE: &str = "574f12b7409ae74d10bebbcb5e79ce749d76c37d2590d689043c73d1a8e162d0";
        let phone = |text| international(text, Some("81")).number();
        let cases = [
            (email(" John_Smith@gmail.com "), JOHN),
            (email("Ｊｏｈｎ＿Ｓｍｉｔｈ＠gmail.com　"), JOHN),
            (phone("03-4405-7597"), PHONE),
            (phone("+81 3 4405 7597"), PHONE),
            (phone("（０３）４４０５−７５９７"), PHONE),
        ];
        for (text, expected) in cases {
            assert_eq!(hex::encode(digest(&text.unwrap())), expected);
        }
        assert_eq!((email("nobody"), phone("none")), (None, None));
        assert_eq!(advertising_id("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(advertising_id("cdda802e-fb9c-47ad-9866"), None);
        assert_eq!(advertising_id("cdda802e0fb9c-47ad-9866-0794d394c912"), None);
    }

    /// The parts in one, and the length that was said before.
    fn written(file: &File) -> String {
        let body: Vec<u8> = (0..).map_while(|number| file.part(number)).flatten().collect();
        assert_eq!(body.len() as u64, file.length());
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_file_is_written_in_parts_of_the_length_that_was_said() {
        for rows in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let file = File::new(UploadType::MailAndPhone, (0..rows).map(|row| digest(&row.to_string())).collect());
            assert_eq!(written(&file).matches('\n').count(), rows + 6);
        }
        let id = "cdda802e-fb9c-47ad-9866-0794d394c912";
        for (upload_type, line) in [(UploadType::Aaid, id.to_owned()), (UploadType::Idfa, id.to_uppercase())] {
            let rows = upload_type.rows(81, |_| Some("Cdda802E-fb9c-47ad-9866-0794D394c912"));
            let file = File::new(upload_type, [rows.clone(), rows].concat());
            assert!(written(&file).contains(&format!("\r\n\r\n{line}\n\r\n--sunset")), "{line}");
        }
    }
}
