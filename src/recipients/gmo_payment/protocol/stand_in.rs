//! A stand-in of GMO Payment Gateway's protocol type: members of a site and their cards.
//!
//! After the calls and replies that <https://github.com/t-k/gmo-payment-ruby> recorded, and its list of codes. The site is `tsite1`; every
//! password is known but those that contain `wrong`. A deleted card stays in the list of `SeqMode=1` with `DeleteFlag=1`, and its number
//! is not given again.
//!
//! Seed: `{"members": {"m-1": {"name": "TARO", "cards": 2, "deleted": false}}, "deletes": false, "keeps_cards": true}`. Without `deletes`,
//! a member's deletion only sets its `DeleteFlag`. With `keeps_cards`, cards are still listed once the member is gone.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _};

pub static STAND_IN: StandIn = StandIn {
    name: "gmo_payment",
    make: || {
        Box::new(GmoPayment { members: BTreeMap::new(), left: BTreeMap::new(), deletes: true, keeps_cards: false })
    },
    settings: "  gmo_payment:\n    url: {url}\n    site_id: tsite1\n    site_password: \"${GMO_SITE_PASSWORD}\"  # anything without \
               \"wrong\" in it\n",
};

const SITE: &str = "tsite1";

struct GmoPayment {
    members: BTreeMap<String, Member>,
    /// Cards of members who are gone.
    left: BTreeMap<String, Member>,
    deletes: bool,
    keeps_cards: bool,
}

#[derive(Clone, Default)]
struct Member {
    name: String,
    deleted: bool,
    /// By their numbers: whether the card is there.
    cards: Vec<bool>,
}

impl Member {
    fn flag(&self) -> char {
        if self.deleted { '1' } else { '0' }
    }
}

/// Codes of errors.
type Codes = &'static [&'static str];

impl GmoPayment {
    fn ask(&mut self, call: &str, form: &BTreeMap<String, String>) -> Result<String, Codes> {
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        match (get("SiteID"), get("SitePass")) {
            ("", _) => return Err(&["E01190001"]),
            (_, "") => return Err(&["E01200001"]),
            (SITE, password) if !password.contains("wrong") => {}
            _ => return Err(&["E01210002"]),
        }
        let id = get("MemberID");
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"@_.- ".contains(&byte);
        match id.len() {
            0 => return Err(&["E01220001"]),
            1..=60 if id.bytes().all(is_letter) => {}
            1..=60 => return Err(&["E01220008"]),
            _ => return Err(&["E01220005"]),
        }
        match call {
            "SearchMember" => {
                let member = self.members.get(id).ok_or(NO_MEMBER)?;
                Ok(format!("MemberID={id}&MemberName={}&DeleteFlag={}", member.name, member.flag()))
            }
            "DeleteMember" => {
                let member = self.members.get_mut(id).ok_or(NO_MEMBER)?;
                if self.deletes {
                    let member = self.members.remove(id).unwrap_or_default();
                    if self.keeps_cards {
                        self.left.insert(id.to_owned(), member);
                    }
                } else {
                    member.deleted = true;
                }
                Ok(format!("MemberID={id}"))
            }
            "SearchCard" => {
                let by_number = seq_mode(get("SeqMode"))?;
                let Some(member) = self.members.get(id).or_else(|| self.left.get(id)) else { return Err(NEITHER) };
                list(member, by_number).ok_or(NO_CARD)
            }
            "DeleteCard" => {
                let by_number = seq_mode(get("SeqMode"))?;
                let number: usize = get("CardSeq").parse().map_err(|_| &["E01230006"][..])?;
                let member = self.members.get_mut(id).ok_or(NEITHER)?;
                let mut there = (0..member.cards.len()).filter(|at| by_number || member.cards[*at]);
                let at = if by_number { Some(number) } else { there.nth(number) };
                let card = at.and_then(|at| member.cards.get_mut(at)).filter(|card| **card).ok_or(NO_CARD)?;
                *card = false;
                Ok(format!("CardSeq={number}"))
            }
            _ => Err(&["E91099997"]),
        }
    }
}

const NO_MEMBER: Codes = &["E01390002"];
const NO_CARD: Codes = &["E01240002"];
const NEITHER: Codes = &["E01390002", "E01240002"];

/// Whether cards are counted by the numbers that they were stored under.
fn seq_mode(text: &str) -> Result<bool, Codes> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(&["E01470008"]),
    }
}

/// `None` where there is no card to list.
fn list(member: &Member, by_number: bool) -> Option<String> {
    let listed: Vec<_> = member.cards.iter().enumerate().filter(|(_, there)| by_number || **there).collect();
    let column = |name: &str, value: &dyn Fn(usize, &(usize, &bool)) -> String| {
        let values: Vec<_> = listed.iter().enumerate().map(|(at, card)| value(at, card)).collect();
        format!("{name}={}", values.join("|"))
    };
    let columns = [
        column("CardSeq", &|at, (number, _)| if by_number { number.to_string() } else { at.to_string() }),
        column("DefaultFlag", &|_, (number, _)| u8::from(*number == 0).to_string()),
        column("CardName", &|_, _| String::new()),
        column("CardNo", &|_, (number, _)| format!("*************11{number}")),
        column("Expire", &|_, _| "3012".to_owned()),
        column("HolderName", &|_, _| member.name.clone()),
        column("DeleteFlag", &|_, (_, there)| u8::from(!**there).to_string()),
    ];
    (!listed.is_empty()).then(|| columns.join("&"))
}

impl Vendor for GmoPayment {
    fn answer(&mut self, request: &Request) -> Response {
        let route = match request.path.as_str() {
            "/SearchMember.idPass" => "/SearchMember.idPass",
            "/DeleteMember.idPass" => "/DeleteMember.idPass",
            "/SearchCard.idPass" => "/SearchCard.idPass",
            "/DeleteCard.idPass" => "/DeleteCard.idPass",
            _ => "(unknown)",
        };
        let form = request.form().filter(|_| request.method == "POST").unwrap_or_default();
        let known = ["SiteID", "SitePass", "MemberID", "SeqMode", "CardSeq"];
        let names: std::collections::BTreeSet<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        // What is given twice, or is no parameter, is what no client means.
        if names.len() != form.len() || names.iter().any(|name| !known.contains(name)) {
            return text(route, 400, "bad request".to_owned());
        }
        let call = route.trim_start_matches('/').trim_end_matches(".idPass");
        match self.ask(call, &form.into_iter().collect()) {
            Ok(body) => text(route, 200, body),
            Err(codes) => {
                let mut body = String::from("ErrCode=");
                let families: Vec<_> = codes.iter().map(|code| &code[..3]).collect();
                let _ = write!(body, "{}&ErrInfo={}", families.join("|"), codes.join("|"));
                text(route, 200, body)
            }
        }
    }

    fn seed(&mut self, seed: &Value) {
        for (id, member) in seed["members"].as_object().into_iter().flatten() {
            let name = member["name"].as_str().unwrap_or_default().to_owned();
            let cards = member["cards"].as_u64().and_then(|cards| usize::try_from(cards).ok()).unwrap_or_default();
            let deleted = member["deleted"].as_bool().unwrap_or_default();
            self.members.insert(id.clone(), Member { name, deleted, cards: vec![true; cards] });
        }
        for (key, flag) in [("deletes", &mut self.deletes), ("keeps_cards", &mut self.keeps_cards)] {
            if let Some(on) = seed[key].as_bool() {
                *flag = on;
            }
        }
    }

    /// None is documented.
    fn limits(&mut self, _: bool) {}
}

fn text(route: &'static str, status: u16, body: String) -> Response {
    let headers = vec![("content-type", "text/plain;charset=Windows-31J".to_owned())];
    Response { status, headers, body: body.into_bytes(), route }
}
