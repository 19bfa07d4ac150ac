//! What the recipients heard in ten years: everybody whose row went, each of them once, and nobody else.

use super::{Rehearsal, promises::Place};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs};
use sunset::recipients::stand_in::Request;

/// How often each subject was named.
type Names = BTreeMap<String, u64>;

fn count(names: impl IntoIterator<Item = String>) -> Names {
    let mut counts = Names::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The last part of the path of calls such as `DELETE /v1/customers/cus_1`.
fn last_segments(requests: &[Request], method: &str, begins: &str) -> Names {
    let fits = |request: &&Request| request.method == method && request.path.starts_with(begins);
    count(requests.iter().filter(fits).filter_map(|request| request.segments().pop()))
}

/// E-mail addresses as ad platforms know them.
fn hashed(emails: &[String]) -> Names {
    count(emails.iter().map(|email| hex::encode(Sha256::digest(email.trim().to_lowercase()))))
}

/// All runs of 64 hexadecimal digits in what a platform was sent, of which those are kept that stand for an address.
fn addresses(requests: &[Request], known: &Names) -> Names {
    let bodies = requests.iter().flat_map(|request| {
        let query: String = request.query.iter().map(|(_, value)| format!(" {value}")).collect();
        let form: String = request.form().unwrap_or_default().iter().map(|(_, value)| format!(" {value}")).collect();
        let text = format!("{} {form} {query}", String::from_utf8_lossy(&request.body));
        let form_only = !form.is_empty();
        let words = if form_only { format!("{form} {query}") } else { text };
        words
            .split(|letter: char| !letter.is_ascii_hexdigit())
            .filter(|word| word.len() == 64)
            .map(str::to_lowercase)
            .collect::<Vec<_>>()
    });
    count(bodies.filter(|hash| known.contains_key(hash)))
}

impl Rehearsal {
    /// The values of a column of rows that were there at the beginning and meet a condition.
    async fn names(&mut self, place: Place, sql: &str) -> Vec<String> {
        let sql = self.qualified(place, sql);
        self.rows(place, &sql).await.into_iter().map(|mut row| row.remove(0)).collect()
    }

    /// The references in the letters to a recipient, from the column of this name.
    fn letters(&self, recipient: &str, column: &str) -> Names {
        let mut names = Vec::new();
        for notice in self.notices(true).iter().filter(|notice| notice["recipient"] == recipient) {
            let file = self.folder().join(format!("{}.csv", notice["id"].as_str().unwrap()));
            let text = fs::read_to_string(file).unwrap();
            let mut lines = text.trim_start_matches('\u{feff}').lines();
            // a letter in which nobody has this reference lacks its column
            let Some(at) = lines.next().unwrap().split(',').position(|name| name == column) else { continue };
            names.extend(lines.map(|line| line.split(',').nth(at).unwrap().trim_matches('"').to_owned()));
        }
        count(names.into_iter().filter(|name| !name.is_empty()))
    }

    /// Each recipient was asked about everybody whose row has gone, or changed, exactly once, and about nobody else.
    pub async fn everybody_was_asked_about_once(&mut self) {
        let gone = |table: &str, column: &str| {
            format!(
                "select t.{column} from before.{table} t where t.{column} is not null
                 and not exists (select 1 from {table} a where a.id = t.id)"
            )
        };
        let cut = |table: &str, column: &str| {
            format!(
                "select t.{column} from before.{table} t join {table} a on a.id = t.id
                 where t.{column} is not null and a.{column} is null"
            )
        };
        let (contracts, web) = (Place::Contracts, Place::Web);

        let stripe = self.sandbox.heard("stripe");
        let expected = count(self.names(contracts, &gone("payment_methods", "stripe_customer_id")).await);
        assert!(!expected.is_empty());
        assert_eq!(last_segments(&stripe, "DELETE", "/v1/customers/"), expected, "stripe");
        let redacted = stripe.iter().filter(|request| request.path == "/v1/privacy/redaction_jobs");
        let redacted = redacted.flat_map(|request| request.form().unwrap_or_default());
        let redacted = count(redacted.filter(|(name, _)| name == "objects[customers][]").map(|(_, id)| id));
        let expected = count(self.names(contracts, &cut("customers", "stripe_customer_id")).await);
        assert!(!expected.is_empty());
        // Stripe takes its time: who was asked about last is still there
        let former = "select t.stripe_customer_id from before.customers t where t.status = 'closed'";
        let former = self.names(contracts, former).await;
        assert!(
            redacted.iter().all(|(id, times)| *times == 1 && former.contains(id)),
            "stripe_redaction: {redacted:?}"
        );
        assert!(expected.keys().all(|id| redacted.contains_key(id)), "stripe_redaction: {redacted:?}");
        let paypal = last_segments(&self.sandbox.heard("paypal"), "DELETE", "/v3/vault/payment-tokens/");
        let expected = count(self.names(contracts, &gone("payment_methods", "paypal_payment_token")).await);
        assert_eq!(paypal, expected, "paypal");

        let emails = self.names(web, &gone("marketing_profiles", "email")).await;
        let everybody = self.names(web, "select t.email from before.marketing_profiles t").await;
        let (expected, known) = (hashed(&emails), hashed(&everybody));
        assert!(!expected.is_empty());
        for platform in ["meta", "criteo", "x_ads", "google_ads"] {
            assert_eq!(addresses(&self.sandbox.heard(platform), &known), expected, "{platform}");
        }

        let mut asked = Vec::new();
        for request in self.sandbox.heard("google_analytics") {
            let body = request.json().unwrap_or_default();
            asked.extend(["userId", "clientId"].iter().filter_map(|key| body[*key].as_str().map(str::to_owned)));
        }
        let mut expected = self.names(web, &gone("marketing_profiles", "member_hash")).await;
        expected.extend(self.names(web, &gone("analytics_identifiers", "client_id")).await);
        assert_eq!(count(asked), count(expected), "google_analytics");

        let recordings = self.sandbox.heard("mouseflow");
        let deleted = last_segments(&recordings, "DELETE", "/websites/site/recordings/");
        let expected = self.names(web, &gone("session_recordings", "visitor_id")).await;
        assert!(!expected.is_empty());
        assert_eq!(deleted, count(expected.iter().map(|visitor| format!("rec-{visitor}"))), "mouseflow");

        for (recipient, column, place, sql) in [
            ("debt_collectors", "reference", contracts, gone("arrears", "collector_case_no")),
            ("subcontractors", "order", contracts, cut("device_rentals", "tracking_no")),
            ("carriers", "reference", contracts, gone("line_investigations", "carrier_case_no")),
            ("benefit_japan", "customer", contracts, gone("joint_use_shares", "benefit_japan_ref")),
            ("group_affiliates", "customer", contracts, gone("joint_use_shares", "affiliate_ref")),
            ("affiliate_networks", "order", web, cut("outcome_identifiers", "order_no")),
            ("advertising_agencies", "reference", web, gone("affiliate_returns", "agency_ref")),
            ("partner_companies", "reference", web, gone("marketing_profiles", "member_hash")),
        ] {
            let expected = count(self.names(place, &sql).await);
            let heard = self.letters(recipient, column);
            // whoever was written to in the last night is still to confirm
            let open = self.waiting(recipient);
            let missing: Vec<_> = expected.keys().filter(|name| !heard.contains_key(*name)).collect();
            assert!(missing.is_empty(), "{recipient} heard nothing of {missing:?}");
            let twice: Vec<_> = heard.iter().filter(|(_, times)| **times > 1).collect();
            assert!(twice.is_empty(), "{recipient} heard twice of {twice:?}");
            let without = heard.keys().filter(|name| !expected.contains_key(*name)).count() as u64;
            assert!(without <= open, "{recipient} heard of {without} whose rows are there, and {open} are to confirm");
        }
    }
}
