//! What a notice says: the letter in a language, the file with the references, and the signature.

use crate::{
    evidence::{checkpoint::sign_note, keys::SigningKey},
    recipients::Subject,
};
use jiff::civil::Date;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt::Write as _};

/// The column with our own name for a person: the keyed tag, which tells nobody anything.
pub const OUR_REFERENCE: &str = "sunset_reference";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Japanese,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    Csv,
    Json,
}

impl FileFormat {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// What is known of a notice without its references: enough for a reminder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Day and a hash: `20261122-9f2c41d0aa`.
    pub id: String,
    pub sent: Date,
    /// The last day.
    pub due: Date,
    pub persons: usize,
}

impl Heading {
    /// Heads a letter. The same persons on the same day give the same heading, so that a run that was cut off writes the same letter
    /// again.
    pub fn new(recipient: &str, subjects: &[&Subject], sent: Date, due: Date) -> Self {
        let mut tags: Vec<_> = subjects.iter().map(|subject| subject.tag()).collect();
        tags.sort_unstable();
        let hash =
            Sha256::new().chain_update(recipient).chain_update("\n").chain_update(tags.as_flattened()).finalize();
        let id = format!("{}-{}", sent.strftime("%Y%m%d"), hex::encode(&hash[..5]));
        Self { id, sent, due, persons: subjects.len() }
    }

    /// What polls are made with: all of it.
    pub fn ticket(&self) -> String {
        format!("{}/{}/{}", self.id, self.due.strftime("%Y%m%d"), self.persons)
    }

    pub fn of_ticket(ticket: &str) -> Option<Self> {
        let mut parts = ticket.split('/');
        let (id, due, persons) = (parts.next()?, parts.next()?, parts.next()?);
        let day = |text: &str| Date::strptime("%Y%m%d", text).ok();
        let (sent, _) = id.split_once('-')?;
        Some(Self { id: id.to_owned(), sent: day(sent)?, due: day(due)?, persons: persons.parse().ok()? })
    }

    /// The file with the references.
    pub fn file_name(&self, format: FileFormat) -> String {
        format!("{}.{}", self.id, format.extension())
    }
}

/// Who writes to whom.
#[derive(Clone, Debug)]
pub struct Parties {
    pub language: Language,
    /// Whom the letter is to.
    pub addressee: String,
    /// Who asks for deletion, and whom to answer.
    pub sender: String,
}

/// The references as a file: our own reference and what the rule maps, column by column.
pub fn references(heading: &Heading, subjects: &[&Subject], format: FileFormat) -> Vec<u8> {
    match format {
        FileFormat::Csv => csv(subjects),
        FileFormat::Json => {
            let subject = |subject: &&Subject| {
                let mut entry = Map::from_iter([(OUR_REFERENCE.to_owned(), Value::from(subject.reference()))]);
                entry.extend(subject.identifiers().map(|(name, text)| (name.to_owned(), text.into())));
                Value::Object(entry)
            };
            let whole = serde_json::json!({
                "notice": heading.id,
                "sent": heading.sent,
                "due": heading.due,
                "subjects": subjects.iter().map(subject).collect::<Vec<_>>(),
            });
            format!("{whole:#}\n").into_bytes()
        }
    }
}

/// RFC 4180.
fn csv(subjects: &[&Subject]) -> Vec<u8> {
    let names: BTreeSet<&str> =
        subjects.iter().flat_map(|subject| subject.identifiers()).map(|(name, _)| name).collect();
    let mut text = OUR_REFERENCE.to_owned();
    names.iter().for_each(|name| text += &format!(",{name}"));
    text += "\r\n";
    for subject in subjects {
        text += &subject.reference();
        for name in &names {
            text.push(',');
            text += &field(subject.get(name).unwrap_or_default());
        }
        text += "\r\n";
    }
    // Without the mark, Excel takes what is not ASCII for another encoding.
    if text.is_ascii() { text.into_bytes() } else { format!("\u{feff}{text}").into_bytes() }
}

/// Spreadsheets run texts that begin like a formula: these get an apostrophe in front. Numbers with a sign stay.
fn field(text: &str) -> String {
    let number = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || " -.()".contains(c));
    let formula = match text.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !number(&text[1..]),
        _ => false,
    };
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The signature of a file with references: a signed note (C2SP), which names the file by its SHA-256.
pub fn signature(job: &str, recipient: &str, heading: &Heading, file: &str, bytes: &[u8], key: &SigningKey) -> String {
    let Heading { id, sent, due, persons } = heading;
    let hash = hex::encode(Sha256::digest(bytes));
    let body = format!(
        "sunset-notice/1\njob {job}\nrecipient {recipient}\nnotice {id}\nsent {sent}\ndue {due}\npersons {persons}\n\
         file {file}\nsha256 {hash}\n"
    );
    sign_note(job, &body, key)
}

/// Subject and text of the letter that goes with `file`, whose SHA-256 it tells.
pub fn notice(parties: &Parties, heading: &Heading, file: &str, bytes: &[u8]) -> (String, String) {
    let Parties { language, addressee, sender } = parties;
    let Heading { id, sent, due, persons } = heading;
    let hash = hex::encode(Sha256::digest(bytes));
    match language {
        Language::English => (
            format!("Deletion notice {id}, due {due}"),
            format!(
                "{addressee}\n\n\
                 We ask you to delete personal data of {them}, whom the file\n\
                 {file} names. The time for which they may be kept is over, or the person has asked for it.\n\
                 You have received these data from us, or collected them for us.\n\n\
                 1. Please delete all copies that you hold by {due}, and have everybody delete theirs to whom you have\n   \
                 passed them on.\n\
                 2. Please confirm this in writing by {due}, with the number of this notice. Where you confirm for some\n   \
                 of the persons only, name them by the column {OUR_REFERENCE}. A certificate of deletion is welcome.\n\
                 3. If you are obliged to keep some of the data, tell us for which references, on what legal basis, and\n   \
                 until when.\n\
                 4. Please delete the file with the references when you are done.\n\n\
                 Notice:   {id}\nSent:     {sent}\nDue:      {due}\nPersons:  {persons}\nFile:     {file}\nSHA-256:  {hash}\n\n\
                 {sender}\n",
                them = if *persons == 1 { "one person".to_owned() } else { format!("{persons} persons") },
            ),
        ),
        Language::Japanese => (
            format!("【個人データ削除のお願い】{id}(期限 {due})"),
            format!(
                "{addressee} 御中\n\n\
                 個人データの削除をお願いいたします。別ファイル {file} に記載の {persons} 名について、保有期間が満了したか、ご本人から請求がありました。\n\
                 対象は、当方から提供したデータ、または当方のために取得いただいたデータです。\n\n\
                 1. {due} までに、お手元のすべての写しを削除してください。第三者に提供された場合は、提供先での削除もお願いいたします。\n\
                 2. {due} までに、下記の通知番号を添えて、削除完了を書面(電子メール可)でご報告ください。一部の方についてのみ\n   \
                 完了した場合は、{OUR_REFERENCE} 列の値でお知らせください。削除証明書をいただけますと幸いです。\n\
                 3. 法令等により保存が必要なデータがある場合は、対象の値、根拠となる法令、保存期限をお知らせください。\n\
                 4. 完了後は、別ファイルも削除してください。\n\n\
                 通知番号: {id}\n発信日:   {sent}\n期限:     {due}\n対象人数: {persons}\nファイル: {file}\nSHA-256:  {hash}\n\n\
                 {sender}\n",
            ),
        ),
    }
}

/// Subject and text of the reminder with this number (1 for the first). It names nobody.
pub fn reminder(parties: &Parties, heading: &Heading, number: i64) -> (String, String) {
    let Parties { language, addressee, sender } = parties;
    let Heading { id, sent, due, persons } = heading;
    let mut text = String::new();
    match language {
        Language::English => {
            let _ = write!(
                text,
                "{addressee}\n\n\
                 On {sent} we asked you to delete personal data (notice {id}, persons: {persons}). Your written confirmation\n\
                 was due on {due}; we have not recorded it for all of them. Please delete what is left and confirm it, or tell us\n\
                 what keeps you from it. If you have confirmed already, tell us when and to whom.\n\n\
                 Notice:    {id}\nSent:      {sent}\nDue:       {due}\nReminder:  {number}\n\n{sender}\n"
            );
            (format!("Reminder {number}: deletion notice {id}, due {due}"), text)
        }
        Language::Japanese => {
            let _ = write!(
                text,
                "{addressee} 御中\n\n\
                 {sent} に個人データの削除をお願いいたしました(通知番号 {id}、対象 {persons} 名)。期限の {due} を過ぎましたが、\n\
                 一部または全部について削除完了のご報告を確認できておりません。未了の分を削除のうえご報告いただくか、削除できない\n\
                 事情をお知らせください。すでにご報告済みの場合は、その日付と宛先をお知らせください。\n\n\
                 通知番号: {id}\n発信日:   {sent}\n期限:     {due}\n督促:     {number} 回目\n\n{sender}\n"
            );
            (format!("【再送・督促 {number} 回目】個人データ削除のお願い {id}(期限 {due})"), text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written() {
        let day = |text: &str| text.parse().unwrap();
        let heading =
            Heading { id: "20261122-9f2c41d0aa".into(), sent: day("2026-11-22"), due: day("2026-12-22"), persons: 125 };
        assert_eq!(heading.ticket(), "20261122-9f2c41d0aa/20261222/125");
        assert_eq!(Heading::of_ticket(&heading.ticket()), Some(heading));
        for wrong in ["", "20261122-9f", "20261122-9f/20261322/1", "x/20261222/1", "20261122-9f/20261222/-1"] {
            assert_eq!(Heading::of_ticket(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        for (text, wanted) in [
            ("A-1", "A-1"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=1+1", "'=1+1"),
            ("@sum(a1)", "'@sum(a1)"),
            ("+81 90-1234-5678", "+81 90-1234-5678"),
            ("-1", "-1"),
            ("+cmd|'/c calc'!a1", "'+cmd|'/c calc'!a1"),
            ("", ""),
        ] {
            assert_eq!(field(text), wanted);
        }
    }
}
