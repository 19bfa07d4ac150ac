//! GMO Payment Gateway, protocol type: deletes members of a site with the cards that are stored for them.
//!
//! All calls are forms with `SiteID` and `SitePass`, and so are the replies. A member is looked up (`SearchMember`), its cards are listed
//! (`SearchCard`) and deleted one by one (`DeleteCard`), the member is deleted (`DeleteMember`, which repeats the id), and both look-ups
//! are made again. Only if neither member nor card is found is the member gone. The calls and replies are those that
//! <https://github.com/t-k/gmo-payment-ruby> recorded at GMO's test system; the specification itself is not public.
//!
//! Errors come with HTTP 200, as two parallel lists: `ErrCode=E01|E01&ErrInfo=E01390002|E01240002`. `E01390002` is "no such member on this
//! site" and proves that there is none where it is the only code of a look-up. `E01240002` is "no such card", with the same
//! condition. Any other code, or one beside these, proves nothing. `SiteID` pins the account: with another site's id and password,
//! `E01210002` is the answer, and the run stops.
//!
//! `SeqMode=1` counts cards by the numbers that they were stored under, which stay, where `0` counts anew after each deletion and
//! would name another card. With `1`, GMO goes on listing a card that was deleted, with `DeleteFlag=1`. Such a card is still there. A
//! member with `DeleteFlag=1` is as well. The proof is the look-ups after the member was deleted.
//!
//! Not confirmed by any documentation, from memory alone: whether `DeleteMember` alone would delete cards, too; that `SearchCard` about
//! a member that is gone says `E01390002` beside `E01240002` (an open client's example shows both; either alone is taken, too); what
//! GMO keeps of payments; how many calls at a time it takes; whether an id can be used again. Texts in Windows-31J stand in
//! fields that nobody reads here.

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    super::{
        Answer, CheckError, Checked, Facts, Kind, OpenError, Plumbing, Recipient, RecipientSettings, Subject,
        client::{Body, Call, Client, Conduct, Reply, in_order},
        no_remarks,
        retry::{Verdict, retry_after, usual},
    },
    AT_ONCE, MEMBER, Stopped, environment, member_of, nobody,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeSet, time::Duration};

const LIVE: &str = "https://p01.mul-pay.jp/payment";
const TEST: &str = "https://pt01.mul-pay.jp/payment";

/// No such member on this site.
const NO_MEMBER: &str = "E01390002";

/// No such card.
const NO_CARD: &str = "E01240002";

/// The codes about `SiteID` and `SitePass`: missing, wrongly written, or of no site.
const CREDENTIALS: &[&str] = &["E01190001", "E01190008", "E01200001", "E01200007", "E01200008", "E01210002"];

/// "The requested API does not exist. Please check the URL."
const NO_SUCH_CALL: &str = "E91099997";

/// GMO stores 10 cards for a member at most by default; nobody's list is longer than this.
const MOST_CARDS: usize = 100;

/// When GMO may have lost what it has answered to have deleted.
const STILL_THERE: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "gmo_payment",
    doc: "GMO Payment Gateway, protocol type: deletes members of a site with their stored cards.",
    settings: &[
        Field::required("site_id", "The site's id (`SiteID`).", Shape::Text(&format::SETTING), "tsite00012345"),
        Field::required(
            "site_password",
            "The site's password (`SitePass`), from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${GMO_SITE_PASSWORD}\"",
        ),
        environment(&[
            Word { word: "live", doc: "`https://p01.mul-pay.jp/payment`" },
            Word { word: "test", doc: "`https://pt01.mul-pay.jp/payment`" },
        ]),
    ],
    identifiers: MEMBER,
    check: |_| Ok(()),
    facts: |settings| Facts {
        batch: 1,
        // Two look-ups before and after; each card takes one more.
        calls: 5,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the member and the cards that are stored for it",
        kept: "payments and what belongs to them, and, as far as anybody knows, authorizations of other ways to pay that were \
               stored for the member",
        sources: &["https://github.com/t-k/gmo-payment-ruby", "https://static.mul-pay.jp/doc/openapi-type/"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Protocol::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct Protocol {
    client: Client,
    site: String,
    password: SecretString,
}

/// What a reply says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Fields(Vec<(String, String)>),
    /// All of `ErrInfo`; at least one.
    Errors(Vec<String>),
}

impl Said {
    /// The error of this code alone.
    fn is_only(&self, code: &str) -> bool {
        matches!(self, Self::Errors(codes) if codes == &[code])
    }

    /// A field that stands there once.
    fn field(&self, wanted: &str) -> Option<&str> {
        let Self::Fields(fields) = self else { return None };
        let mut found = fields.iter().filter(|(name, _)| name == wanted);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

/// A stored card.
#[derive(Debug, PartialEq, Eq)]
struct Card {
    number: String,
    /// It was deleted, and is listed all the same.
    deleted: bool,
}

impl Protocol {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let base = if options.text("environment") == Some("test") { TEST } else { LIVE };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates: &[], judge })?,
            site: options.text("site_id").ok_or_else(|| missing("site_id"))?.to_owned(),
            password: options.secret("site_password").ok_or_else(|| missing("site_password"))?,
        })
    }

    /// Makes a call about a member.
    async fn ask(
        &self,
        operation: &'static str,
        path: &str,
        member: &str,
        more: &[(&str, &str)],
    ) -> Result<Said, Stopped> {
        let own = [("SiteID", self.site.as_str()), ("SitePass", self.password.expose_secret()), ("MemberID", member)];
        let form = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let reply = self.client.send(&Call::post(operation, path).body(Body::Form(form))).await;
        let reply = reply.map_err(|failure| Box::new(Answer::from(failure)))?;
        read(&reply).ok_or_else(|| Box::new(unreadable(&reply)))
    }

    /// Whether the site has the member.
    async fn has_member(&self, member: &str) -> Result<bool, Stopped> {
        let said = self.ask("look up a member", "/SearchMember.idPass", member, &[]).await?;
        if said.is_only(NO_MEMBER) {
            return Ok(false);
        }
        same_member(&said, member)?;
        Ok(true)
    }

    /// The cards that GMO lists; nobody knows any where the member is gone.
    async fn cards(&self, member: &str) -> Result<Vec<Card>, Stopped> {
        let said = self.search_cards(member).await?;
        if said.is_only(NO_CARD) {
            return Ok(Vec::new());
        }
        match &said {
            Said::Errors(codes) => Err(Box::new(refusal(codes))),
            Said::Fields(_) => cards_of(&said).ok_or_else(|| {
                Box::new(Answer::refused("GMO lists the member's cards in a way that is not known, or too many"))
            }),
        }
    }

    async fn search_cards(&self, member: &str) -> Result<Said, Stopped> {
        self.ask("list cards", "/SearchCard.idPass", member, &[("SeqMode", "1")]).await
    }

    async fn delete_cards(&self, member: &str) -> Result<(), Stopped> {
        let stored = |cards: Vec<Card>| cards.into_iter().filter(|card| !card.deleted).collect::<Vec<_>>();
        let cards = stored(self.cards(member).await?);
        if cards.is_empty() {
            return Ok(());
        }
        for card in cards {
            let more = [("SeqMode", "1"), ("CardSeq", card.number.as_str())];
            let said = self.ask("delete a card", "/DeleteCard.idPass", member, &more).await?;
            match &said {
                Said::Fields(_) if said.field("CardSeq") == Some(&card.number) => {}
                Said::Fields(_) => return Err(Box::new(Answer::refused("GMO's answer is about another card"))),
                // Somebody else deleted it. The list tells whether it is gone.
                Said::Errors(_) if said.is_only(NO_CARD) => {}
                Said::Errors(codes) => return Err(Box::new(refusal(codes))),
            }
        }
        if stored(self.cards(member).await?).is_empty() {
            return Ok(());
        }
        let reason = "GMO still lists cards whose deletion it has answered";
        Err(Box::new(Answer::unreachable(reason, Some(STILL_THERE))))
    }

    async fn delete_one(&self, subject: &Subject) -> Result<Answer, Stopped> {
        let member = member_of(subject)?;
        if !self.has_member(member).await? {
            return Ok(Answer::gone(Grade::E1));
        }
        self.delete_cards(member).await?;
        let said = self.ask("delete a member", "/DeleteMember.idPass", member, &[]).await?;
        // An earlier attempt, or somebody else, was faster: the look-up tells.
        if !said.is_only(NO_MEMBER) {
            same_member(&said, member)?;
        }
        if self.has_member(member).await? {
            let reason = "GMO has answered the member's deletion and still knows the member";
            return Ok(Answer::unreachable(reason, Some(STILL_THERE)));
        }
        match self.search_cards(member).await? {
            Said::Errors(codes) if codes.iter().all(|code| [NO_MEMBER, NO_CARD].contains(&code.as_str())) => {
                Ok(Answer::confirmed(Grade::E1))
            }
            Said::Errors(codes) => Ok(refusal(&codes)),
            Said::Fields(_) => Ok(Answer::refused("the member is deleted, and GMO still lists cards of it")),
        }
    }
}

#[async_trait::async_trait]
impl Recipient for Protocol {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let ask = async |subject: &Subject| self.delete_one(subject).await.unwrap_or_else(|answer| *answer);
        in_order(subjects.iter().map(ask).collect(), AT_ONCE).await
    }

    /// Nobody's id: whoever may not ask is told so, and who may learns that there is no such member.
    async fn check(&self) -> Result<Checked, CheckError> {
        match self.has_member(&nobody()?).await {
            Ok(false) => Ok(Checked::Proven),
            Ok(true) => {
                let reason = "GMO knows a member whose id was made up just now: look at `url`".to_owned();
                Err(CheckError { reason, temporary: false })
            }
            Err(answer) => {
                let temporary = matches!(answer.state, super::super::State::Unreachable { .. });
                Err(CheckError { reason: answer.state.reason().unwrap_or_default().to_owned(), temporary })
            }
        }
    }
}

/// GMO is busy or out of order with the codes that begin with `E90`, `E91` and `E92`, and says so with HTTP 200.
fn judge(reply: &Reply) -> Verdict {
    match read(reply) {
        Some(Said::Errors(codes)) if codes.iter().any(|code| is_outage(code)) => {
            Verdict::Retry { after: retry_after(reply) }
        }
        _ => usual(reply),
    }
}

fn is_outage(code: &str) -> bool {
    code != NO_SUCH_CALL && ["E90", "E91", "E92"].iter().any(|family| code.starts_with(family))
}

/// Reads a reply of the form `Name=value&Name=value`, which is not escaped.
///
/// Names of people and cards may hold any sign, so a part without `=` belongs to the value before it, and `None` is the answer
/// where such a name could pass for an error: an error has its two lists and nothing else.
fn read(reply: &Reply) -> Option<Said> {
    if reply.status != 200 {
        return None;
    }
    let text = String::from_utf8_lossy(&reply.body);
    let mut fields: Vec<(String, String)> = Vec::new();
    for part in text.trim_end_matches(['\r', '\n']).split('&') {
        match (part.split_once('='), fields.last_mut()) {
            (Some((name, value)), _) => fields.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push('&');
                value.push_str(part);
            }
            (None, None) => return None,
        }
    }
    if !fields.iter().any(|(name, _)| name == "ErrCode" || name == "ErrInfo") {
        return Some(Said::Fields(fields));
    }
    let mut names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names != ["ErrCode", "ErrInfo"] {
        return None;
    }
    let list = |wanted: &str| {
        let (_, value) = fields.iter().find(|(name, _)| name == wanted)?;
        let words: Vec<String> = value.split('|').map(str::to_owned).collect();
        words.iter().all(|word| is_code(word)).then_some(words)
    };
    let (families, codes) = (list("ErrCode")?, list("ErrInfo")?);
    // Each code begins with its family, but those of card companies.
    let paired = |(family, code): (&String, &String)| !code.starts_with('E') || code.starts_with(family.as_str());
    (families.len() == codes.len() && families.iter().zip(&codes).all(paired)).then_some(Said::Errors(codes))
}

/// A code of GMO's, and not somebody's name.
fn is_code(word: &str) -> bool {
    matches!(word.len(), 3..=12) && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The reply is about this member.
fn same_member(said: &Said, member: &str) -> Result<(), Stopped> {
    if let Said::Errors(codes) = said {
        return Err(Box::new(refusal(codes)));
    }
    // No id holds `%` or `+`, so the id may be escaped or not.
    let is_it = |text: &str| text == member || text.replace("%40", "@").replace('+', " ") == member;
    match said.field("MemberID") {
        Some(text) if is_it(text) => Ok(()),
        Some(_) => Err(Box::new(Answer::refused("GMO's answer is about another member"))),
        None => Err(Box::new(Answer::unreachable("HTTP 200 with an answer that names no member", None))),
    }
}

/// The cards of a list, whose columns are joined by `|`; `None` where it cannot be read.
fn cards_of(said: &Said) -> Option<Vec<Card>> {
    let numbers: Vec<_> = said.field("CardSeq")?.split('|').collect();
    let flags: Vec<_> = said.field("DeleteFlag")?.split('|').collect();
    let is_number = |text: &&str| matches!(text.len(), 1..=4) && text.bytes().all(|byte| byte.is_ascii_digit());
    let unique = numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len();
    if numbers.len() != flags.len() || numbers.len() > MOST_CARDS || !unique || !numbers.iter().all(is_number) {
        return None;
    }
    let card = |(number, flag): (&&str, &&str)| match *flag {
        "0" => Some(Card { number: (*number).to_owned(), deleted: false }),
        "1" => Some(Card { number: (*number).to_owned(), deleted: true }),
        _ => None,
    };
    numbers.iter().zip(&flags).map(card).collect()
}

/// A reply that is no answer of this interface.
fn unreadable(reply: &Reply) -> Answer {
    match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("GMO's answer leads elsewhere, which is not followed: look at `url`"),
        status => Answer::refused(format!("HTTP {status} that is not the protocol's: look at `url`")),
    }
}

fn refusal(codes: &[String]) -> Answer {
    let shown = codes.join(", ");
    if codes.iter().any(|code| CREDENTIALS.contains(&code.as_str())) {
        return Answer::refused(format!("GMO does not accept the site's id and password ({shown})"));
    }
    if codes.iter().any(|code| code == NO_SUCH_CALL) {
        return Answer::refused(format!("GMO knows no such call: look at `url` ({shown})"));
    }
    Answer::refused(format!("GMO refuses ({shown})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Option<Said> {
        read(&Reply::for_test(200, &[], body))
    }

    #[test]
    fn only_one_code_alone_is_no_such_member() {
        assert!(said("ErrCode=E01&ErrInfo=E01390002").unwrap().is_only(NO_MEMBER));
        assert!(said("ErrInfo=E01390002&ErrCode=E01\r\n").unwrap().is_only(NO_MEMBER));
        for body in [
            "ErrCode=E01|E01&ErrInfo=E01390002|E01240002",
            "ErrCode=E01|E01&ErrInfo=E01390002|E01390002",
            "ErrCode=E01&ErrInfo=E01390010",
            "ErrCode=E01&ErrInfo=e01390002",
            "ErrCode=E01&ErrInfo=E01390002|",
            "ErrCode=E01|E01&ErrInfo=E01390002",
            "ErrCode=E61&ErrInfo=E01390002",
            "ErrCode=&ErrInfo=E01390002",
            "ErrInfo=E01390002",
            "ErrCode=E01&ErrInfo=E01390002&MemberID=m",
            "MemberID=m&MemberName=x&ErrCode=E01&ErrInfo=E01390002",
            "ErrCode=E01&ErrInfo=E01390002&ErrInfo=E01390002",
            "ErrCode=E01&ErrInfo=E01390002&E01390002",
            "{\"ErrCode\":\"E01\",\"ErrInfo\":\"E01390002\"}",
            "E01390002",
            "",
        ] {
            assert!(!said(body).is_some_and(|said| said.is_only(NO_MEMBER)), "{body}");
        }
        let status = |status| read(&Reply::for_test(status, &[], "ErrCode=E01&ErrInfo=E01390002"));
        assert_eq!([201, 302, 400, 404].map(|code| status(code).is_none()), [true; 4]);
    }

    #[test]
    fn a_name_that_reads_like_a_field_is_no_field() {
        let named = said("MemberID=m&MemberName=A & B Ltd&DeleteFlag=0").unwrap();
        assert_eq!((named.field("MemberID"), named.field("DeleteFlag")), (Some("m"), Some("0")));
        let twice = said("MemberID=m&MemberName=x&MemberID=n&DeleteFlag=0").unwrap();
        assert_eq!(twice.field("MemberID"), None);
    }

    #[test]
    fn cards_have_numbers_and_flags() {
        let cards = |body: &str| cards_of(&said(body).unwrap());
        let card = |number: &str, deleted| Card { number: number.to_owned(), deleted };
        let list = "CardSeq=0|3&DefaultFlag=1|0&CardName=|&CardNo=*1|*2&Expire=2305|2305&HolderName=A|B&DeleteFlag=1|0";
        assert_eq!(cards(list), Some(vec![card("0", true), card("3", false)]));
        for body in [
            "CardSeq=0",
            "DeleteFlag=0",
            "CardSeq=0|1&DeleteFlag=0",
            "CardSeq=0|0&DeleteFlag=0|0",
            "CardSeq=&DeleteFlag=",
            "CardSeq=x&DeleteFlag=0",
            "CardSeq=0&DeleteFlag=2",
            "CardSeq=0&DeleteFlag=",
        ] {
            assert_eq!(cards(body), None, "{body}");
        }
    }

    #[test]
    fn what_passes_is_tried_again() {
        let verdict = |body: &str| judge(&Reply::for_test(200, &[], body));
        for body in ["ErrCode=E92&ErrInfo=E92000001", "ErrCode=E01|E91&ErrInfo=E01390002|E91099996"] {
            assert_eq!(verdict(body), Verdict::Retry { after: None }, "{body}");
        }
        for body in
            ["ErrCode=E01&ErrInfo=E01390002", "ErrCode=E91&ErrInfo=E91099997", "MemberID=E92000001", "E92000001"]
        {
            assert_eq!(verdict(body), Verdict::Final, "{body}");
        }
    }
}
