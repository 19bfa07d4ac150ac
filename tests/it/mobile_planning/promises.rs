//! What the rule pack of jobs/mobile-planning promises, written a second time, by hand and as SQL: nothing here is made
//! from the rules. The tables as they were at the beginning are in the schema `before`.
//!
//! Words in braces become literals for one night: `{5y}` the last day that is due after five years, `{next 5m}` the day
//! after it, `{epoch 14d}` the same in seconds, `{month 3m}` the last month's end that is due, `{fy 7y}` the last fiscal
//! year's end whose filing deadline and then seven years are over, `{loss x}` whether x lies in a loss year, `{held x}`
//! what is under a hold, `{identity}` the last day of which records of identity are due.

/// Where a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Contracts,
    Web,
    Support,
}
use Place::{Contracts, Support, Web};

/// How soon rows must have gone once their time is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Patience {
    /// In the same night.
    None,
    /// In the night after a person has confirmed.
    Confirmed,
    /// After three nights in which the recipient, who works on it, was looked at.
    Polled,
}

pub struct Promise {
    pub place: Place,
    pub table: &'static str,
    /// The rows `t` whose time is over, on their own account or because they go along with others.
    pub due: &'static str,
    /// Of these, the rows that may stay.
    pub stays: &'static str,
    pub patience: Patience,
    /// What rows `a` that stay in the table, and were `t`, must have become; nothing where they go.
    pub becomes: Option<&'static str>,
    /// Columns in which rows that are not due are as they were.
    pub untouched: &'static str,
}

const fn erased(place: Place, table: &'static str, due: &'static str) -> Promise {
    Promise { place, table, due, stays: "false", patience: Patience::None, becomes: None, untouched: "*" }
}

const fn changed(place: Place, table: &'static str, due: &'static str, becomes: &'static str) -> Promise {
    Promise { becomes: Some(becomes), ..erased(place, table, due) }
}

impl Promise {
    const fn but(self, stays: &'static str) -> Self {
        Self { stays, ..self }
    }

    const fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    const fn untouched(self, untouched: &'static str) -> Self {
        Self { untouched, ..self }
    }
}

const FORMER: &str = "t.status = 'closed' and t.balance_yen = 0 and t.relationship_ended_on <= '{5y}'";

pub const PROMISES: &[Promise] = &[
    // R01
    changed(
        Contracts,
        "customers",
        FORMER,
        "a.customer_no is null and a.family_name is null and a.given_name is null and a.family_name_kana is null
         and a.given_name_kana is null and a.email is null and a.phone_number is null and a.gender is null
         and a.prefecture is null and a.city is null and a.street is null and a.building is null
         and a.member_hash is null and a.stripe_customer_id is null
         and (a.postal_code is null or a.postal_code = left(t.postal_code, 2))
         and (a.birth_date is null or a.birth_date = make_date(extract(year from t.birth_date)::int / 10 * 10, 1, 1))
         and (a.joined_on is null or a.joined_on = date_trunc('month', t.joined_on)::date
             or a.joined_on = date_trunc('year', t.joined_on)::date)
         and (a.contract_count is null or a.contract_count = least(t.contract_count, 3))
         and (coalesce(a.birth_date::text, a.postal_code, a.joined_on::text, a.contract_count::text) is null
             or exists (select 1 from customers o where o.customer_no is null
                 and o.birth_date is not distinct from a.birth_date
                 and o.postal_code is not distinct from a.postal_code
                 and o.joined_on is not distinct from a.joined_on
                 and o.contract_count is not distinct from a.contract_count offset 9))
         and a.relationship_ended_on = t.relationship_ended_on",
    )
    .but("t.id in ({held customers})")
    .patient(Patience::Polled),
    erased(
        Contracts,
        "delivery_addresses",
        "t.customer_id in (select c.id from before.customers c where c.status = 'closed' and c.balance_yen = 0
         and c.relationship_ended_on <= '{5y}')",
    )
    .but("t.customer_id in ({held customers})")
    .patient(Patience::Polled),
    // R02
    erased(
        Web,
        "applications",
        "(t.status in ('draft', 'abandoned', 'declined') and t.last_activity_at < '{next 60d}')
         or (t.status = 'accepted' and t.handed_over_on <= '{60d}')",
    )
    .but("t.id in ({held applications})"),
    erased(
        Web,
        "application_documents",
        "t.application_id in (select p.id from before.applications p where
         (p.status in ('draft', 'abandoned', 'declined') and p.last_activity_at < '{next 60d}')
         or (p.status = 'accepted' and p.handed_over_on <= '{60d}'))",
    )
    .but("t.application_id in ({held applications})"),
    // R03, R04
    erased(
        Contracts,
        "identity_images",
        "exists (select 1 from before.identity_verifications v join before.contracts c on c.id = v.contract_id
         where v.id = t.verification_id
         and (v.verified_at < '{next 0d} 00:00+09' or c.ended_on <= '{identity}'))",
    ),
    erased(
        Contracts,
        "identity_verifications",
        "t.contract_id in (select c.id from before.contracts c where c.ended_on <= '{identity}')",
    ),
    // R05: a contract waits until the claims from it have gone, and for invoices under a hold
    erased(Contracts, "contracts", "t.ended_on <= '{5y}'").but(
        "exists (select 1 from arrears a where a.contract_id = t.id)
         or t.customer_id in ({held invoices})",
    ),
    erased(
        Contracts,
        "contract_documents",
        "t.contract_id in (select c.id from before.contracts c where c.ended_on <= '{5y}')",
    )
    .but("exists (select 1 from contracts c where c.id = t.contract_id)"),
    erased(
        Contracts,
        "contract_changes",
        "t.contract_id in (select c.id from before.contracts c where c.ended_on <= '{5y}')",
    )
    .but("exists (select 1 from contracts c where c.id = t.contract_id)"),
    // R06: tax records stay whole, but for the contract that they belonged to
    erased(
        Contracts,
        "invoices",
        "(t.issued_on <= '{fy 7y}' and not ({loss t.issued_on})) or t.issued_on <= '{fy 10y}'",
    )
    .but("t.customer_id in ({held invoices})")
    .untouched("id, customer_id, invoice_no, kind, addressee_name, addressee_address, total_yen, tax_yen, issued_on"),
    erased(
        Contracts,
        "invoice_lines",
        "t.invoice_id in (select i.id from before.invoices i where
         (i.issued_on <= '{fy 7y}' and not ({loss i.issued_on})) or i.issued_on <= '{fy 10y}')",
    )
    .but("t.invoice_id in (select i.id from before.invoices i where i.customer_id in ({held invoices}))"),
    // R07: the books
    erased(Contracts, "ledger_entries", "t.booked_on <= '{fy 10y}'")
        .untouched("id, account, invoice_no, amount_yen, booked_on"),
    changed(
        Contracts,
        "ledger_entries",
        "t.customer_id in (select c.id from before.customers c where c.relationship_ended_on <= '{5y}')",
        "a.customer_id is null and a.counterparty is null and a.customer_code ~ '^cus_[0-9a-f]{16}$'
         and a.pseudonymized_at is not null",
    )
    .but("t.booked_on <= '{fy 10y}'")
    .untouched("id, account, invoice_no, amount_yen, booked_on, customer_id, customer_code, counterparty"),
    // R09
    erased(
        Contracts,
        "payment_methods",
        "t.customer_id in (select c.id from before.customers c where c.relationship_ended_on <= '{0d}')",
    ),
    // R11
    erased(Contracts, "arrears", "t.status <> 'open' and t.settled_on <= '{0d}'").patient(Patience::Confirmed),
    erased(
        Contracts,
        "arrears_contacts",
        "t.arrears_id in (select b.id from before.arrears b where b.status <> 'open' and b.settled_on <= '{0d}')",
    )
    .patient(Patience::Confirmed),
    // R12
    changed(
        Contracts,
        "device_rentals",
        "t.status in ('returned', 'not_returned') and t.returned_on <= '{6m}'",
        "a.customer_id is null and a.contract_id is null and a.line_number is null and a.tracking_no is null
         and a.device_id = t.device_id and a.shipped_on = t.shipped_on and a.returned_on = t.returned_on",
    )
    .patient(Patience::Confirmed)
    .untouched("id, device_id, customer_id, line_number, tracking_no, status, shipped_on, returned_on"),
    erased(Contracts, "devices", "false"),
    erased(Contracts, "plans", "false"),
    // R13, R14, R15
    erased(Contracts, "line_investigations", "t.closed_at < '{next 3m} 00:00+09'"),
    erased(Contracts, "connection_logs", "t.connected_at < '{next 5m} 00:00+09'"),
    erased(Contracts, "usage_records", "t.used_on <= '{month 3m}'"),
    // R26: of cases that stay, the link to a contract that has gone is cut
    erased(
        Contracts,
        "misuse_cases",
        "(not t.claim and t.closed_on <= '{2y}') or (t.claim and t.closed_on <= '{4y11m}')",
    )
    .untouched("id, customer_id, case_no, suspect_name, facts, claim, opened_on, closed_on"),
    // R28
    erased(
        Contracts,
        "provision_records",
        "(t.record_form = 'contract_document' and t.last_provision_on <= '{1y}')
         or (t.record_form = 'bulk' and t.last_provision_on <= '{3y}')
         or (t.record_form = 'each_time' and t.made_on <= '{3y}')",
    ),
    // R29
    erased(
        Contracts,
        "joint_use_shares",
        "t.customer_id in (select c.id from before.customers c where c.relationship_ended_on <= '{5y}')",
    )
    .patient(Patience::Confirmed),
    // R30
    erased(Contracts, "security_logs", "t.occurred_at < '{next 1y} 00:00+09'"),
    // R16, in the form of the web site and in the support tool
    erased(
        Web,
        "inquiry_texts",
        "t.inquiry_id in (select q.id from before.inquiries q where q.closed_at < '{next 11m}')",
    ),
    erased(Web, "inquiries", "t.status = 'closed' and t.closed_at < '{next 1y11m}'"),
    erased(Support, "tickets", "t.status = 'closed' and t.closed_at < '{next 1y11m}'").but("t.id in ({held tickets})"),
    changed(
        Support,
        "ticket_messages",
        "t.ticket_id in (select p.id from before.tickets p where p.closed_at < '{next 11m}')",
        "a.body = '（本文は消去済みです）' and a.attachment_name is null and a.author = t.author and a.sent_at = t.sent_at",
    ),
    erased(
        Support,
        "ticket_messages",
        "t.ticket_id in (select p.id from before.tickets p where p.status = 'closed' and p.closed_at < '{next 1y11m}')",
    )
    .but("t.ticket_id in ({held tickets})")
    .untouched("id, ticket_id, author, sent_at"),
    // R17, R18
    erased(
        Web,
        "marketing_profiles",
        "t.consent_withdrawn_on <= '{14d}' or (t.consent_withdrawn_on is null and t.last_activity_on <= '{2y}')",
    ),
    erased(
        Web,
        "email_deliveries",
        "date(t.sent_at) <= '{month 11m}' or t.profile_id in (select p.id from before.marketing_profiles p where
         p.consent_withdrawn_on <= '{14d}' or (p.consent_withdrawn_on is null and p.last_activity_on <= '{2y}'))",
    ),
    // R19
    erased(Web, "web_events", "date(t.occurred_at) <= '{month 11m}'"),
    erased(Web, "ad_views", "date(t.viewed_at) <= '{month 11m}'"),
    // R20
    changed(
        Web,
        "outcome_identifiers",
        "t.commission_finalised_on <= '{3m}'",
        "a.order_no is null and a.click_id is null and a.member_hash is null
         and a.commission_yen = t.commission_yen and a.network = t.network",
    )
    .patient(Patience::Confirmed),
    erased(Web, "affiliate_returns", "t.commission_finalised_on <= '{3m}'").patient(Patience::Confirmed),
    // R21, R22, R23
    erased(Web, "session_recordings", "t.recorded_at < '{next 14d}'"),
    erased(Web, "analytics_identifiers", "t.last_seen_on <= '{1m}'"),
    erased(Web, "bot_scores", "t.scored_at < {epoch 14d}"),
    // R24: thirty days for complaints, then sixty
    erased(Web, "campaigns", "false"),
    erased(
        Web,
        "prize_entries",
        "t.campaign_id in (select c.id from before.campaigns c where c.prizes_delivered_on <= '{90d}')",
    ),
    erased(
        Web,
        "survey_answers",
        "t.campaign_id in (select c.id from before.campaigns c where c.prizes_delivered_on <= '{90d}')",
    ),
    // R25
    erased(Web, "mail_consents", "t.last_mail_sent_on <= '{3y}'").untouched("id, source_form, given_at, withdrawn_on"),
    changed(
        Web,
        "mail_consents",
        "t.withdrawn_on <= '{0d}'",
        "a.email rlike '^[0-9a-f]{64}$' and a.minimized_at is not null and a.withdrawn_on = t.withdrawn_on",
    )
    .but("t.last_mail_sent_on <= '{3y}'"),
    erased(Web, "suppression_entries", "t.mailing_ended_on <= '{3y}'"),
    // R27
    erased(Support, "rights_requests", "t.closed_on <= '{2y}'"),
    erased(
        Support,
        "rights_request_proofs",
        "t.request_id in (select r.id from before.rights_requests r where r.closed_on <= '{0d}')",
    ),
];
