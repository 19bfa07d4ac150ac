-- The contract and billing database (契約・請求), PostgreSQL. Every starting point of the rule pack and every foreign key has
-- an index, so that a night with nothing due reads next to nothing.

create table plans (
    code            text primary key,
    name            text not null,
    monthly_yen     integer not null
);

create table customers (
    id                      bigint primary key,
    customer_no             text unique,
    family_name             text,
    given_name              text,
    family_name_kana        text,
    given_name_kana         text,
    email                   text,
    phone_number            text,
    birth_date              date,
    gender                  text check (gender in ('female', 'male', 'other')),
    postal_code             text,
    prefecture              text,
    city                    text,
    street                  text,
    building                text,
    member_hash             text,
    stripe_customer_id      text,
    status                  text not null check (status in ('active', 'closed')),
    balance_yen             integer not null default 0,
    contract_count          integer default 1,
    joined_on               date,
    relationship_ended_on   date
);
create index customers_relationship_ended_on on customers (relationship_ended_on);
create unique index customers_email on customers (email);
comment on table customers is '契約者 (D1)';
comment on column customers.member_hash is 'what the web site and the ad platforms know the member by';
comment on column customers.relationship_ended_on is
    'written by the closing job of billing: the latest of contract ended, balance settled, router returned; null until all three are';

create table delivery_addresses (
    id              bigint primary key,
    customer_id     bigint not null references customers (id),
    recipient_name  text not null,
    postal_code     text not null,
    address         text not null,
    phone_number    text
);
create index delivery_addresses_customer_id on delivery_addresses (customer_id);
comment on table delivery_addresses is '配送先 (D1)';

create table contracts (
    id              bigint primary key,
    customer_id     bigint not null references customers (id),
    contract_no     text not null unique,
    plan_code       text not null references plans (code),
    line_type       text not null check (line_type in ('data', 'voice_050')),
    started_on      date not null,
    ended_on        date,
    end_reason      text
);
create index contracts_customer_id on contracts (customer_id);
create index contracts_ended_on on contracts (ended_on);
comment on table contracts is '契約 (D3)';

create table contract_documents (
    id              bigint primary key,
    contract_id     bigint not null references contracts (id),
    kind            text not null check (kind in ('application_form', 'terms_notice', 'suspension_notice', 'termination_notice')),
    file_name       text not null,
    scan            bytea not null,
    received_on     date not null
);
create index contract_documents_contract_id on contract_documents (contract_id);
comment on table contract_documents is '申込書・通知書 (D3)';

create table contract_changes (
    id              bigint primary key,
    contract_id     bigint not null references contracts (id),
    changed_on      date not null,
    kind            text not null,
    note            text
);
create index contract_changes_contract_id on contract_changes (contract_id);
comment on table contract_changes is '契約変更履歴 (D3)';

create table identity_verifications (
    id                  bigint primary key,
    contract_id         bigint not null references contracts (id),
    method              text not null,
    document_type       text not null check (document_type in ('driving_licence', 'my_number_card', 'passport', 'residence_card')),
    holder_name         text not null,
    holder_address      text not null,
    holder_birth_date   date not null,
    verified_at         timestamptz
);
create index identity_verifications_contract_id on identity_verifications (contract_id);
create index identity_verifications_verified_at on identity_verifications (verified_at);
comment on table identity_verifications is '本人確認記録 (D2)';

create table identity_images (
    id                  bigint primary key,
    verification_id     bigint not null references identity_verifications (id),
    side                text not null check (side in ('front', 'back', 'face')),
    image               bytea not null,
    uploaded_at         timestamptz not null
);
create index identity_images_verification_id on identity_images (verification_id);
comment on table identity_images is '本人確認書類の画像 (D2)';

create table invoices (
    id                  bigint primary key,
    customer_id         bigint references customers (id),
    contract_id         bigint references contracts (id),
    invoice_no          text not null unique,
    kind                text not null check (kind in ('invoice', 'receipt')),
    addressee_name      text not null,
    addressee_address   text not null,
    total_yen           integer not null,
    tax_yen             integer not null,
    issued_on           date not null
);
create index invoices_customer_id on invoices (customer_id);
create index invoices_contract_id on invoices (contract_id);
create index invoices_issued_on on invoices (issued_on);
comment on table invoices is '適格請求書・領収書の控え (D4)';

create table invoice_lines (
    id              bigint primary key,
    invoice_id      bigint not null references invoices (id),
    line_no         integer not null,
    description     text not null,
    amount_yen      integer not null,
    unique (invoice_id, line_no)
);
comment on table invoice_lines is '請求明細 (D4)';

create table ledger_entries (
    id                  bigint primary key,
    customer_id         bigint references customers (id),
    customer_code       text,
    counterparty        text,
    account             text not null check (account in ('sales', 'receivables', 'cash', 'fees')),
    invoice_no          text,
    amount_yen          integer not null,
    booked_on           date not null,
    pseudonymized_at    timestamptz
);
create index ledger_entries_customer_id on ledger_entries (customer_id);
create index ledger_entries_booked_on on ledger_entries (booked_on);
comment on table ledger_entries is '仕訳帳 (D4)';
comment on column ledger_entries.customer_code is 'the customer in the books: equal customers have equal codes';

create table payment_methods (
    id                      bigint primary key,
    customer_id             bigint not null references customers (id),
    provider                text not null check (provider in ('stripe', 'paypal')),
    stripe_customer_id      text,
    paypal_payment_token    text,
    registered_at           timestamptz not null
);
create index payment_methods_customer_id on payment_methods (customer_id);
comment on table payment_methods is '決済代行会社の識別子 (D5). Card numbers are never stored here';

create table arrears (
    id                  bigint primary key,
    customer_id         bigint not null references customers (id),
    contract_id         bigint references contracts (id),
    collector_case_no   text,
    debtor_name         text not null,
    debtor_address      text not null,
    debtor_phone        text,
    principal_yen       integer not null,
    status              text not null check (status in ('open', 'settled', 'prescribed')),
    opened_on           date not null,
    settled_on          date
);
create index arrears_customer_id on arrears (customer_id);
create index arrears_contract_id on arrears (contract_id);
create index arrears_settled_on on arrears (settled_on);
comment on table arrears is '未収金 (D6)';
comment on column arrears.settled_on is 'paid, waived, or prescription invoked; null while the claim is open';

create table arrears_contacts (
    id              bigint primary key,
    arrears_id      bigint not null references arrears (id),
    contacted_at    timestamptz not null,
    channel         text not null,
    note            text
);
create index arrears_contacts_arrears_id on arrears_contacts (arrears_id);
comment on table arrears_contacts is '督促の記録 (D6)';

create table devices (
    id              bigint primary key,
    imei            text not null unique,
    serial_no       text not null,
    model           text not null,
    bought_on       date not null
);
comment on table devices is '端末台帳: a company asset, not personal by itself (D7)';

create table device_rentals (
    id              bigint primary key,
    device_id       bigint not null references devices (id),
    customer_id     bigint references customers (id),
    contract_id     bigint references contracts (id),
    line_number     text,
    tracking_no     text,
    status          text not null check (status in ('in_use', 'returned', 'not_returned')),
    shipped_on      date not null,
    returned_on     date
);
create index device_rentals_device_id on device_rentals (device_id);
create index device_rentals_customer_id on device_rentals (customer_id);
create index device_rentals_contract_id on device_rentals (contract_id);
create index device_rentals_returned_on on device_rentals (returned_on);
comment on table device_rentals is '貸出履歴 (D7)';

create table line_investigations (
    id                  bigint primary key,
    case_no             text not null,
    carrier             text not null,
    carrier_case_no     text,
    imei                text not null,
    line_number         text not null,
    finding             text,
    opened_at           timestamptz not null,
    closed_at           timestamptz
);
create index line_investigations_closed_at on line_investigations (closed_at);
comment on table line_investigations is '回線調査 (D8)';

-- Connection and authentication logs, one partition a month. The gateway delivers some of them days late.
create table connection_logs (
    id              bigint not null,
    connected_at    timestamptz not null,
    line_number     text,
    imei            text,
    source_ip       inet,
    cell_id         text,
    seconds         integer not null,
    primary key (connected_at, id)
) partition by range (connected_at);
comment on table connection_logs is '接続・認証ログ (D8)';

-- Usage detail of each line and day, one partition a month. No foreign key: the network delivers lines that billing
-- does not know any more.
create table usage_records (
    id              bigint not null,
    used_on         date not null,
    contract_no     text,
    line_number     text not null,
    prefecture      text,
    upload_mb       integer not null,
    download_mb     integer not null,
    primary key (used_on, id)
) partition by range (used_on);
create index usage_records_contract_no on usage_records (contract_no);
comment on table usage_records is '利用明細 (D9)';

create table misuse_cases (
    id              bigint primary key,
    customer_id     bigint references customers (id),
    contract_id     bigint references contracts (id),
    case_no         text not null,
    suspect_name    text,
    facts           text not null,
    claim           boolean not null,
    opened_on       date not null,
    closed_on       date
);
create index misuse_cases_customer_id on misuse_cases (customer_id);
create index misuse_cases_contract_id on misuse_cases (contract_id);
create index misuse_cases_closed_on on misuse_cases (closed_on);
comment on table misuse_cases is '不正利用の調査 (D22)';
comment on column misuse_cases.claim is 'a claim for damages exists or was announced';

create table provision_records (
    id                  bigint primary key,
    record_form         text not null check (record_form in ('each_time', 'bulk', 'contract_document')),
    third_party         text not null,
    legal_ground        text not null,
    subject_name        text,
    items               text not null,
    made_on             date not null,
    last_provision_on   date not null
);
create index provision_records_made_on on provision_records (made_on);
create index provision_records_last_provision_on on provision_records (last_provision_on);
comment on table provision_records is '第三者提供記録 (D24)';

create table joint_use_shares (
    id                  bigint primary key,
    customer_id         bigint not null references customers (id),
    benefit_japan_ref   text,
    affiliate_ref       text,
    items               text not null,
    shared_on           date not null
);
create index joint_use_shares_customer_id on joint_use_shares (customer_id);
comment on table joint_use_shares is '共同利用の引渡し記録 (D27)';

create table security_logs (
    id              bigint primary key,
    occurred_at     timestamptz not null,
    actor           text not null,
    action          text not null,
    source_ip       inet
);
create index security_logs_occurred_at on security_logs (occurred_at);
comment on table security_logs is 'アクセス記録 (D26)';

create table backups (
    id              bigint primary key,
    place           text not null,
    taken_on        date not null,
    destroyed_on    date
);
comment on table backups is 'バックアップ世代管理: written by the backup tool, one row a generation';

create table usage_totals (
    month           date not null,
    prefecture      text not null,
    records         bigint not null,
    upload_mb       bigint not null,
    download_mb     bigint not null,
    contracts       integer not null,
    primary key (month, prefecture)
);
comment on table usage_totals is '月次集計: what is left of usage_records, without persons';
