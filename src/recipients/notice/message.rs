//! A letter as bytes (RFC 5322, MIME). Everything but the headers is base64: that keeps every byte, and no line of a letter
//! can end it or be too long. Written here because the library's own writer needs a crate under a licence that is not among
//! those in `deny.toml`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{Zoned, fmt::rfc2822};
use lettre::Address;
use std::fmt::{self, Write as _};

/// Of a line of base64, by RFC 2045.
const LINE: usize = 76;

/// Bytes in one encoded word: with frame and base64 it stays below the 75 characters of RFC 2047.
const WORD: usize = 42;

/// `Privacy Office <privacy@shop.example>`, or the address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    name: Option<String>,
    pub address: Address,
}

impl Mailbox {
    /// `None` where it is no address in ASCII, or its name holds what a header cannot.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => {
                let (name, address) = rest.rsplit_once('<')?;
                (name.trim().trim_matches('"').trim(), address.trim())
            }
            None => ("", text),
        };
        if !address.is_ascii() || name.chars().any(char::is_control) {
            return None;
        }
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Some(Self { name, address: address.parse().ok()? })
    }
}

/// As it stands in a header.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.address),
            Some(name) if name.is_ascii() => {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{name}\" <{}>", self.address)
            }
            Some(name) => write!(f, "{} <{}>", words(name), self.address),
        }
    }
}

/// Headers in their order, then the text and the files: name, type and bytes.
pub struct Message<'a> {
    pub from: &'a Mailbox,
    pub to: &'a [Mailbox],
    pub cc: &'a [Mailbox],
    pub reply_to: Option<&'a Mailbox>,
    pub subject: &'a str,
    /// With angle brackets.
    pub id: &'a str,
    /// The id of the letter that this one follows.
    pub follows: Option<&'a str>,
    pub date: &'a Zoned,
    pub text: &'a str,
    pub files: &'a [(String, &'static str, Vec<u8>)],
}

impl Message<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        let mut header = |name: &str, value: &str| {
            let _ = write!(out, "{name}: {value}\r\n");
        };
        header("From", &self.from.to_string());
        header("To", &list(self.to));
        if !self.cc.is_empty() {
            header("Cc", &list(self.cc));
        }
        if let Some(reply_to) = self.reply_to {
            header("Reply-To", &reply_to.to_string());
        }
        header("Subject", &if self.subject.is_ascii() { self.subject.to_owned() } else { words(self.subject) });
        header("Message-ID", self.id);
        if let Some(follows) = self.follows {
            header("In-Reply-To", follows);
            header("References", follows);
        }
        header("Date", &rfc2822::to_string(self.date).unwrap_or_default());
        // No automatic answer is wanted (RFC 3834), but a person's.
        header("Auto-Submitted", "auto-generated");
        header("MIME-Version", "1.0");
        let text = self.text.replace('\n', "\r\n");
        if self.files.is_empty() {
            part(&mut out, "text/plain; charset=utf-8", None, text.as_bytes());
            return out.into_bytes();
        }
        // Base64 has no `_`, so that no part holds the boundary.
        const BOUNDARY: &str = "=_sunset_part";
        let _ = write!(out, "Content-Type: multipart/mixed;\r\n boundary=\"{BOUNDARY}\"\r\n\r\n--{BOUNDARY}\r\n");
        part(&mut out, "text/plain; charset=utf-8", None, text.as_bytes());
        for (name, kind, bytes) in self.files {
            let _ = write!(out, "--{BOUNDARY}\r\n");
            part(&mut out, kind, Some(name), bytes);
        }
        let _ = write!(out, "--{BOUNDARY}--\r\n");
        out.into_bytes()
    }
}

fn part(out: &mut String, kind: &str, file: Option<&str>, bytes: &[u8]) {
    let _ = write!(out, "Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n");
    if let Some(file) = file {
        let _ = write!(out, "Content-Disposition: attachment;\r\n filename=\"{file}\"\r\n");
    }
    out.push_str("\r\n");
    let mut rest = BASE64_STANDARD.encode(bytes);
    while !rest.is_empty() {
        let after = rest.split_off(LINE.min(rest.len()));
        let _ = write!(out, "{rest}\r\n");
        rest = after;
    }
}

/// One in each line, so that no line is too long.
fn list(boxes: &[Mailbox]) -> String {
    boxes.iter().map(Mailbox::to_string).collect::<Vec<_>>().join(",\r\n ")
}

/// Encoded words (RFC 2047), no character in two of them.
fn words(text: &str) -> String {
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match parts.last_mut() {
            Some(part) if part.len() + c.len_utf8() <= WORD => part.push(c),
            _ => parts.push(c.to_string()),
        }
    }
    let word = |part: &String| format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(part));
    parts.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_read_and_written() {
        for (text, wanted) in [
            ("a@b.example", "a@b.example"),
            (" Privacy Office <a@b.example> ", "\"Privacy Office\" <a@b.example>"),
            ("\"Office, Privacy\" <a@b.example>", "\"Office, Privacy\" <a@b.example>"),
            ("個人情報 <a@b.example>", "=?UTF-8?B?5YCL5Lq65oOF5aCx?= <a@b.example>"),
        ] {
            assert_eq!(Mailbox::parse(text).map(|mailbox| mailbox.to_string()).as_deref(), Some(wanted));
        }
        for wrong in
            ["", "a", "a@b.example>", "a\r\nBcc: c <a@b.example>", "a <b>", "a@b.example, c@d.example", "ä@b.example"]
        {
            assert_eq!(Mailbox::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn long_texts_become_several_words() {
        let text = "【再送・督促 12 回目】個人データ削除のお願い 20261122-0123456789(期限 2026-12-22)";
        let encoded = words(text);
        let lines: Vec<_> = encoded.split("\r\n ").collect();
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 75), "{encoded}");
        let decode = |line: &&str| {
            let code = line.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap();
            String::from_utf8(BASE64_STANDARD.decode(code).unwrap()).unwrap()
        };
        assert_eq!(lines.iter().map(decode).collect::<String>(), text);
    }
}
