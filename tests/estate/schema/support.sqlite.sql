-- The support tool (お客様サポート), SQLite. It writes local times of Tokyo as text, and points in time with their offset.

create table tickets (
    id                  integer primary key,
    ticket_no           text not null unique,
    customer_no         text,
    requester_name      text,
    requester_email     text,
    requester_phone     text,
    channel             text not null check (channel in ('mail', 'phone', 'form')),
    status              text not null check (status in ('open', 'closed')),
    opened_at           datetime not null,
    closed_at           datetime
);
create index tickets_closed_at on tickets (closed_at);

create table ticket_messages (
    id                  integer primary key,
    ticket_id           integer not null references tickets (id),
    author              text not null check (author in ('customer', 'agent')),
    sent_at             datetime not null,
    body                text,
    attachment_name     text
);
create index ticket_messages_ticket_id on ticket_messages (ticket_id);

create table rights_requests (
    id                  integer primary key,
    request_no          text not null unique,
    requester_name      text not null,
    requester_contact   text not null,
    article             text not null check (article in ('33', '34', '35')),
    received_on         date not null,
    closed_on           date,
    outcome             text
);
create index rights_requests_closed_on on rights_requests (closed_on);

create table rights_request_proofs (
    id                  integer primary key,
    request_id          integer not null references rights_requests (id),
    kind                text not null,
    scan                blob not null
);
create index rights_request_proofs_request_id on rights_request_proofs (request_id);
