-- The web and marketing database (ウェブ・マーケティング), MariaDB. Times are those of Tokyo.

create table applications (
    id                  bigint primary key,
    application_no      varchar(20) not null unique,
    family_name         varchar(60),
    given_name          varchar(60),
    family_name_kana    varchar(60),
    given_name_kana     varchar(60),
    email               varchar(190),
    phone_number        varchar(20),
    birth_date          date,
    gender              varchar(10),
    postal_code         varchar(8),
    address             varchar(300),
    status              varchar(20) not null comment 'draft, under_review, declined, abandoned, accepted',
    created_at          datetime not null,
    last_activity_at    datetime not null,
    handed_over_on      date comment 'accepted, and the contract system has it',
    key last_activity_at (last_activity_at),
    key handed_over_on (handed_over_on)
) comment '申込み (D1)';

create table application_documents (
    id                  bigint primary key,
    application_id      bigint not null,
    kind                varchar(30) not null,
    scan                varbinary(1000) not null,
    key application_id (application_id),
    constraint application_documents_application foreign key (application_id) references applications (id)
) comment '申込時の提出書類 (D1)';

create table marketing_profiles (
    id                      bigint primary key,
    member_hash             varchar(64) not null,
    email                   varchar(190),
    phone_number            varchar(20),
    interests               varchar(300),
    purchase_summary        varchar(300),
    consent_given_on        date not null,
    consent_withdrawn_on    date,
    last_activity_on        date not null,
    key consent_withdrawn_on (consent_withdrawn_on),
    key last_activity_on (last_activity_on)
) comment '興味・購買傾向 (D11)';

create table email_deliveries (
    id                  bigint primary key,
    profile_id          bigint,
    campaign_code       varchar(30) not null,
    sent_at             datetime not null,
    opened_at           datetime,
    clicked_at          datetime,
    opened_from         varchar(45) comment 'IP address',
    key profile_id (profile_id),
    key sent_at (sent_at),
    constraint email_deliveries_profile foreign key (profile_id) references marketing_profiles (id)
) comment 'メール配信・開封 (D12)';

create table web_events (
    id                  bigint primary key,
    visitor_id          varchar(40) not null,
    member_hash         varchar(64) comment 'only while signed in; members may be gone',
    occurred_at         datetime(6) not null,
    url                 varchar(300) not null,
    access_route        varchar(100),
    product_code        varchar(20),
    source_ip           varchar(45),
    key occurred_at (occurred_at)
) comment 'サイト閲覧履歴 (D13)';

create table ad_views (
    id                  bigint primary key,
    platform            varchar(20) not null,
    visitor_id          varchar(40) not null,
    campaign_code       varchar(30) not null,
    viewed_at           datetime not null,
    key viewed_at (viewed_at)
) comment '広告閲覧履歴 (D14)';

create table outcome_identifiers (
    id                          bigint primary key,
    network                     varchar(30) not null,
    order_no                    varchar(30),
    click_id                    varchar(60),
    member_hash                 varchar(64),
    commission_yen              int not null,
    sent_at                     datetime not null,
    commission_finalised_on     date,
    key commission_finalised_on (commission_finalised_on)
) comment '成果識別子 (D15)';

create table affiliate_returns (
    id                          bigint primary key,
    agency                      varchar(30) not null,
    agency_ref                  varchar(40),
    cookie_id                   varchar(60) not null,
    access_route                varchar(100),
    customer_no                 varchar(20) comment 'joined to the customer in-house',
    returned_at                 datetime not null,
    commission_finalised_on     date,
    key commission_finalised_on (commission_finalised_on)
) comment 'アフィリエイト返戻データ (D16)';

create table session_recordings (
    id                  bigint primary key,
    visitor_id          varchar(40) not null comment 'of this session alone',
    member_hash         varchar(64),
    recorded_at         datetime not null,
    key recorded_at (recorded_at)
) comment 'セッション録画の識別子 (D17); the recordings lie at Mouseflow';

create table analytics_identifiers (
    id                  bigint primary key,
    client_id           varchar(40) not null,
    member_hash         varchar(64),
    last_seen_on        date not null,
    key last_seen_on (last_seen_on)
) comment 'アクセス解析の識別子 (D18)';

create table bot_scores (
    id                  bigint primary key,
    form                varchar(30) not null,
    source_ip           varchar(45) not null,
    score               decimal(3, 2) not null,
    scored_at           bigint not null comment 'seconds since 1970',
    key scored_at (scored_at)
) comment 'ボット判定 (D19)';

create table campaigns (
    id                      bigint primary key,
    code                    varchar(30) not null unique,
    title                   varchar(100) not null,
    ended_on                date not null,
    prizes_delivered_on     date comment 'the last prize has arrived'
) comment 'キャンペーン';

create table prize_entries (
    id                  bigint primary key,
    campaign_id         bigint not null,
    name                varchar(120) not null,
    postal_code         varchar(8) not null,
    address             varchar(300) not null,
    phone_number        varchar(20),
    won                 boolean not null,
    key campaign_id (campaign_id),
    constraint prize_entries_campaign foreign key (campaign_id) references campaigns (id)
) comment '懸賞応募・賞品発送 (D21)';

create table survey_answers (
    id                  bigint primary key,
    campaign_id         bigint not null,
    email               varchar(190),
    age_band            varchar(10),
    answers             longtext not null check (json_valid(answers)),
    remarks             varchar(500),
    key campaign_id (campaign_id),
    constraint survey_answers_campaign foreign key (campaign_id) references campaigns (id)
) comment 'アンケート回答 (D21)';

create table inquiries (
    id                  bigint primary key,
    name                varchar(120),
    email               varchar(190),
    phone_number        varchar(20),
    status              varchar(20) not null comment 'open, closed',
    received_at         datetime not null,
    closed_at           datetime,
    key closed_at (closed_at)
) comment 'お問い合わせフォーム (D10)';

create table inquiry_texts (
    id                  bigint primary key,
    inquiry_id          bigint not null,
    sent_at             datetime not null,
    body                text not null,
    key inquiry_id (inquiry_id),
    constraint inquiry_texts_inquiry foreign key (inquiry_id) references inquiries (id)
) comment 'お問い合わせ本文 (D10)';

create table mail_consents (
    id                  bigint primary key,
    email               varchar(190) not null,
    source_form         varchar(60) not null,
    given_at            datetime not null,
    withdrawn_on        date,
    last_mail_sent_on   date comment 'of advertising mail',
    minimized_at        datetime,
    key withdrawn_on (withdrawn_on),
    key last_mail_sent_on (last_mail_sent_on)
) comment '広告メールの同意記録 (D25)';

create table suppression_entries (
    id                  bigint primary key,
    email_hmac          char(64) not null,
    added_on            date not null,
    mailing_ended_on    date comment 'null while the company mails advertising at all',
    key mailing_ended_on (mailing_ended_on)
) comment '配信停止リスト (D25)';

create table email_totals (
    month               date not null,
    campaign_code       varchar(30) not null,
    deliveries          bigint not null,
    recipients          int not null,
    primary key (month, campaign_code)
) comment '月次集計: what is left of email_deliveries';

create table web_totals (
    month               date not null,
    access_route        varchar(100) not null,
    events              bigint not null,
    visitors            int not null,
    primary key (month, access_route)
) comment '月次集計: what is left of web_events';

create table ad_totals (
    month               date not null,
    platform            varchar(20) not null,
    campaign_code       varchar(30) not null,
    views               bigint not null,
    viewers             int not null,
    primary key (month, platform, campaign_code)
) comment '月次集計: what is left of ad_views';

create table survey_totals (
    campaign_id         bigint not null,
    age_band            varchar(10) not null,
    answers             bigint not null,
    respondents         int not null,
    primary key (campaign_id, age_band)
) comment '集計: what is left of survey_answers';
