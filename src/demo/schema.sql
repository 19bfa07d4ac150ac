-- The tables of the invented company: a rental of mobile Wi-Fi routers. Every starting point and every foreign key has
-- an index, so that a night with nothing due reads next to nothing.

create table customers (
    id            integer primary key,
    full_name     text,
    name_kana     text,
    email         text unique,
    phone         text,
    birth_date    date,
    gender        text,
    postal_code   text,
    sales_region  text    not null,
    monthly_gb    integer not null,
    rental_count  integer not null,
    balance_yen   integer not null,
    status        text    not null, -- active, closed
    joined_on     date    not null,
    closed_on     date              -- everything returned and paid; null until then
);
create index customers_closed_on on customers (closed_on);

create table addresses (
    id            integer primary key,
    customer_id   integer not null references customers (id),
    kind          text    not null, -- home, shipping
    postal_code   text    not null,
    prefecture    text    not null,
    city          text    not null,
    street        text    not null,
    building      text
);
create index addresses_customer_id on addresses (customer_id);

create table applications (
    id               integer primary key,
    applicant_name   text    not null,
    email            text,
    phone            text,
    status           text    not null, -- submitted, accepted, declined, abandoned
    last_activity_at integer not null  -- seconds since 1970
);
create index applications_last_activity_at on applications (last_activity_at);

create table application_documents (
    id             integer primary key,
    application_id integer not null references applications (id),
    kind           text    not null,
    scan           text    not null
);
create index application_documents_application_id on application_documents (application_id);

create table contracts (
    id            integer primary key,
    customer_id   integer not null references customers (id),
    plan          text    not null,
    signed_by     text    not null,
    started_on    date    not null,
    ended_on      date
);
create index contracts_customer_id on contracts (customer_id);
create index contracts_ended_on on contracts (ended_on);

create table contract_changes (
    id            integer primary key,
    contract_id   integer not null references contracts (id),
    changed_on    date    not null,
    change        text    not null
);
create index contract_changes_contract_id on contract_changes (contract_id);

create table identity_checks (
    id              integer primary key,
    contract_id     integer not null references contracts (id),
    document        text    not null, -- driving_licence, residence_card, passport
    document_number text    not null,
    holder_name     text    not null
);
create index identity_checks_contract_id on identity_checks (contract_id);

create table devices (
    id            integer primary key,
    imei          text    not null unique,
    model         text    not null,
    bought_on     date    not null
);

create table rentals (
    id            integer primary key,
    device_id     integer not null references devices (id),
    customer_id   integer references customers (id),
    contract_id   integer references contracts (id),
    line_number   text,
    status        text    not null, -- in_use, returned, not_returned
    shipped_on    date    not null,
    returned_on   date
);
create index rentals_device_id on rentals (device_id);
create index rentals_customer_id on rentals (customer_id);
create index rentals_contract_id on rentals (contract_id);
create index rentals_returned_on on rentals (returned_on);

create table invoices (
    id            integer primary key,
    customer_id   integer references customers (id),
    contract_id   integer references contracts (id),
    addressee     text    not null,
    address       text    not null,
    total_yen     integer not null,
    issued_on     date    not null
);
create index invoices_customer_id on invoices (customer_id);
create index invoices_contract_id on invoices (contract_id);
create index invoices_issued_on on invoices (issued_on);

create table invoice_lines (
    id            integer primary key,
    invoice_id    integer not null references invoices (id),
    description   text    not null,
    amount_yen    integer not null
);
create index invoice_lines_invoice_id on invoice_lines (invoice_id);

create table journal_entries (
    id               integer primary key,
    booked_on        date    not null,
    account          text    not null, -- sales, receivables, fees
    customer_code    text    not null,
    counterparty     text,
    amount_yen       integer not null,
    pseudonymized_at datetime
);
create index journal_entries_booked_on on journal_entries (booked_on);

create table arrears (
    id            integer primary key,
    contract_id   integer not null references contracts (id),
    debtor_name   text    not null,
    debtor_phone  text,
    amount_yen    integer not null,
    status        text    not null, -- open, settled, prescribed
    opened_on     date    not null,
    settled_on    date
);
create index arrears_contract_id on arrears (contract_id);
create index arrears_settled_on on arrears (settled_on);

create table arrears_letters (
    id            integer primary key,
    arrears_id    integer not null references arrears (id),
    sent_on       date    not null,
    letter        text    not null
);
create index arrears_letters_arrears_id on arrears_letters (arrears_id);

create table inquiries (
    id            integer primary key,
    customer_id   integer references customers (id),
    channel       text    not null, -- form, phone, chat
    subject       text    not null,
    status        text    not null  -- open, answered
);
create index inquiries_customer_id on inquiries (customer_id);

create table inquiry_messages (
    id            integer primary key,
    inquiry_id    integer not null references inquiries (id),
    sent_at       datetime not null, -- local time
    body          text,
    attachment    text
);
create index inquiry_messages_inquiry_id on inquiry_messages (inquiry_id);
create index inquiry_messages_sent_at on inquiry_messages (sent_at);

create table connection_logs (
    id            integer primary key,
    line_number   text    not null,
    ip_address    text    not null,
    connected_at  datetime not null, -- UTC
    kilobytes     integer not null
);
create index connection_logs_connected_at on connection_logs (connected_at);

create table mail_log (
    id            integer primary key,
    customer_id   integer references customers (id),
    recipient     text    not null,
    kind          text    not null, -- newsletter, reminder, consent
    bounced       integer not null,
    sent_at       datetime not null, -- local time
    opened_at     datetime,
    ip_address    text
);
create index mail_log_customer_id on mail_log (customer_id);
create index mail_log_sent_at on mail_log (sent_at);
