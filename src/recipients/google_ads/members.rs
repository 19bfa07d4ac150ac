//! Persons as Google Ads knows them: normalized and hashed.

use super::GoogleAds;
use crate::recipients::{
    Answer, Subject, google,
    hashing::{self, sha256},
    phone::Phone,
};
use serde_json::{Value, json};

impl GoogleAds {
    /// By what the person is known there; an answer where nobody can be asked.
    pub(super) fn member(&self, subject: &Subject) -> Result<Member, Answer> {
        let mut contact = Vec::new();
        let job = self.job.is_some();
        let email = if job { lower } else { email };
        if let Some(email) = subject.get("email").and_then(email) {
            contact.push(json!({if job { "hashedEmail" } else { "emailAddress" }: sha256(&email)}));
        }
        match subject.get("phone").map(|text| google::phone(text, self.calling_code.as_deref())) {
            Some(Phone::Number(number)) => {
                contact.push(json!({if job { "hashedPhoneNumber" } else { "phoneNumber" }: sha256(&number)}));
            }
            Some(Phone::National) => return Err(Answer::refused(google::NATIONAL)),
            Some(Phone::Nothing) | None => {}
        }
        if let Some(address) = address(subject, job) {
            contact.push(address);
        }
        let (mobile, user) = (subject.get("mobile_id"), subject.get("user_id"));
        let found = [!contact.is_empty(), mobile.is_some(), user.is_some()];
        if found.iter().filter(|found| **found).count() > 1 {
            return Err(Answer::refused(
                "the rule names identifiers of more than one type of list: name a recipient for each type",
            ));
        }
        let member = match (mobile.map(str::trim), user.map(str::trim)) {
            (Some(id), _) if job => (Type::Mobile, json!({"userIdentifiers": [{"mobileId": id}]})),
            (Some(id), _) => (Type::Mobile, json!({"mobileData": {"mobileIds": [id]}})),
            (_, Some(id)) if job => (Type::User, json!({"userIdentifiers": [{"thirdPartyUserId": id}]})),
            (_, Some(id)) => (Type::User, json!({"userIdData": {"userId": id}})),
            _ if contact.is_empty() => {
                return Err(Answer::not_possible("the row has nothing that Google Ads could know the person by"));
            }
            _ if job => (Type::Contact, json!({"userIdentifiers": contact})),
            _ => (Type::Contact, json!({"userData": {"userIdentifiers": contact}})),
        };
        Ok(Member { kind: member.0, body: member.1 })
    }
}

/// What a list knows its members by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Type {
    Contact,
    Mobile,
    User,
}

/// One person, as the request says it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Member {
    pub kind: Type,
    /// Without its destinations.
    pub body: Value,
}

/// Without space around it, in small letters; `None` where nothing is left.
pub(super) fn lower(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    (!text.is_empty()).then_some(text)
}

/// As google-ads-datamanager-util does it: small letters; of Gmail's addresses, periods and what follows a `+` go. `None` for
/// what it calls no address: its hash could be in no list.
pub(super) fn email(text: &str) -> Option<String> {
    let text = hashing::address(text)?;
    let (user, domain) = text.split_once('@')?;
    if !matches!(domain, "gmail.com" | "googlemail.com") {
        return Some(text);
    }
    let user = user.split('+').next().unwrap_or_default().replace('.', "");
    (!user.is_empty()).then(|| format!("{user}@{domain}"))
}

/// All four parts, or nothing: "a grouping of identifiers that are matched all at once".
pub(super) fn address(subject: &Subject, job: bool) -> Option<Value> {
    let name = |key| subject.get(key).and_then(lower).map(|name| sha256(&name));
    let (given, family) = (name("given_name")?, name("family_name")?);
    let region = subject.get("region_code")?.trim().to_uppercase();
    let postal = subject.get("postal_code")?.trim();
    if region.len() != 2 || postal.is_empty() {
        return None;
    }
    Some(match job {
        true => json!({"addressInfo": {
            "hashedFirstName": given, "hashedLastName": family, "countryCode": region, "postalCode": postal,
        }}),
        false => json!({"address": {
            "givenName": given, "familyName": family, "regionCode": region, "postalCode": postal,
        }}),
    })
}
