use super::{
    jobs::is_job_name,
    manager::{Outcome, Ticket},
    members::{address, email, lower},
    *,
};
use crate::recipients::identity::vectors;
use std::collections::BTreeSet;

#[test]
fn identifiers_are_normalized_as_googles_own_library_does_it() {
    let mut fields = BTreeSet::new();
    for vector in vectors::of("google-ads-datamanager-util") {
        let text = vector.text.as_str();
        let ours = match vector.field.as_str() {
            "email" => email(text),
            "phone" => google::phone(text, None).number(),
            "given_name" => lower(text),
            field => {
                let of = |name: &str| if name == field { text } else { "JP" };
                let names = ["given_name", "family_name", "postal_code", "region_code"];
                let subject = Subject::without_tag(names.map(|name| (name.to_owned(), of(name).to_owned())).into());
                let key = if field == "postal_code" { "postalCode" } else { "regionCode" };
                address(&subject, false).map(|address| address["address"][key].as_str().unwrap().to_owned())
            }
        };
        assert_eq!(ours, vector.wanted, "{} {text}", vector.field);
        fields.insert(vector.field);
    }
    assert_eq!(fields.len(), 5, "{fields:?}");
}

/// Made with google-ads-datamanager-util 0.4.0: `Formatter().process_email_address(text, Encoding.HEX)`.
#[test]
fn addresses_are_hashed_as_googles_own_library_does() {
    let hashed = |text: &str| email(text).map(|email| sha256(&email));
    assert_eq!(
        hashed(" Taro.Yamada@Example.co.jp "),
        Some("ee88fe0f2c99e5f6d29bc9f6647db4253d1be8bd8c39d38dcfcf0cb82886f06e".to_owned())
    );
    assert_eq!(
        hashed("Ta.Ro+News@GMail.com"),
        Some("d04ccff87030eedf978039d47c67d722447b2120555ace224dc3cabee96b459e".to_owned())
    );
    assert_eq!(
        hashed("t.y@googlemail.com"),
        Some("1cc1324e9cf4a70240634f0d7930d71ccdbb5447560fedaaca0b4afa89a2cdeb".to_owned())
    );
    assert_eq!(
        hashed("taro+news@example.com"),
        Some("c9736c4e66bbeb145f55e498abd3f590316ebbfcbd9de47d8429f3098c8d27b4".to_owned())
    );
    assert_eq!(hashed("a b@example.com"), None);
    assert_eq!(hashed("nobody"), None);
    assert_eq!(hashed("a@b@c"), None);
    assert_eq!(hashed("+x@gmail.com"), None);
}

#[test]
fn a_ticket_is_read_as_it_was_written() {
    let ticket = Ticket::read("ABC-123/7/2").unwrap();
    assert_eq!((ticket.request, ticket.index, ticket.looks), ("ABC-123", 7, 2));
    let State::Accepted { poll } = ticket.again().state else { panic!() };
    assert_eq!((poll.ticket.as_str(), poll.again_after), ("ABC-123/7/3", Duration::from_secs(4 * 3600)));
    for wrong in ["", "abc", "abc/1", "abc/x/1", "a b/1/1", "abc/1/1/1", "customers/1/offlineUserDataJobs/2"] {
        assert!(Ticket::read(wrong).is_none(), "{wrong}");
    }
    assert!(is_job_name("customers/1/offlineUserDataJobs/2"));
    assert!(!is_job_name("customers/1/offlineUserDataJobs/2'"));
}

#[test]
fn only_named_records_fail_where_all_are_named() {
    let status = |count: &str, indices: Value| {
        json!({"requestStatusPerDestination": [{"requestStatus": "PARTIAL_SUCCESS", "errorInfo": {"errorCounts": [{
            "reason": "PROCESSING_ERROR_REASON_INVALID_FORMAT", "recordCount": count, "recordIndices": indices,
        }]}}]})
    };
    let answer = |body: &Value, index| Outcome::read(body, 1).answer(&Ticket { request: "a", index, looks: 0 });
    let named = status("2", json!([0, 3]));
    assert!(matches!(answer(&named, 3).state, State::Refused { .. }));
    assert_eq!(answer(&named, 1).state, State::Confirmed);
    // Two failed and one is named: any of them may be the other.
    let unnamed = status("2", json!([3]));
    assert!(matches!(answer(&unnamed, 1).state, State::Unreachable { .. }));
    assert!(matches!(answer(&json!({}), 1).state, State::Accepted { .. }));
}
