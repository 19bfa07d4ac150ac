//! Identifiers that would change what is asked. A call is about one person or it is not made: held against the bytes that a
//! server receives.

use super::{delete_one, open, recorder::Recorder, subject};
use sunset::recipients::State;

/// Texts that stand where an identifier should. Those that name a path of their own, the parts of a URL, bytes that end
/// texts elsewhere, and what people write when there is none.
const HOSTILE: &[&str] = &[
    ".",
    "..",
    "...",
    "%2e",
    "%2E%2E",
    "/",
    "//",
    "a/b",
    "a/../b",
    "../b",
    "./",
    "..\\..",
    "?all=true",
    "#",
    "a&b=c",
    "a=b",
    "*",
    "%",
    "a\nb",
    "a\r\nX-Evil: 1",
    "\u{0}",
    "a\tb",
    " a",
    "a ",
    "n/a",
    "null",
    "{who}",
    "日本",
    "\u{ff0e}\u{ff0e}",
    "\u{200b}",
    "\u{202e}a",
    "'; drop table x",
    "\"",
    "\\",
    "a+b",
    "a;b",
];

/// The path and the query of a request, as a server splits them: segments first, escapes afterwards.
struct Asked {
    method: String,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    body: String,
}

fn read(request: &str) -> Asked {
    let (first, rest) = request.split_once('\n').unwrap_or((request, ""));
    let (method, target) = first.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments = path.split('/').skip(1).map(|segment| unescaped(segment, false)).collect();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(name, true), unescaped(value, true))
    };
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    let body = rest.rsplit('\n').next().unwrap_or_default().to_owned();
    Asked { method: method.to_owned(), segments, query, body }
}

fn unescaped(text: &str, plus_is_blank: bool) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (b'+', _) if plus_is_blank => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Asks about each text, and hands what the server received to `judge`. Whoever is not asked about is refused: the row stays.
async fn each(yaml: &str, identifier: &str, judge: impl Fn(&str, &Asked)) {
    for text in HOSTILE {
        let server = Recorder::start(&[(
            200,
            r#"{"access_token": "t", "expires_in": 9000, "deleted": true, "recordings": []}"#,
        )])
        .await;
        let recipient = open(&yaml.replace("URL", &server.url));
        let answer = delete_one(&*recipient, subject(&[(identifier, text)])).await;
        let asked: Vec<_> = server.requests().iter().map(|request| read(request)).collect();
        let asked: Vec<_> = asked.iter().filter(|asked| !asked.segments.contains(&"oauth2".to_owned())).collect();
        for asked in &asked {
            // Blanks around are no part of an identifier.
            judge(text.trim(), asked);
        }
        if asked.is_empty() {
            let stays = matches!(answer.state, State::Refused { .. } | State::NotPossible { .. });
            assert!(stays, "{text:?} is not asked about: {answer:?}");
        }
        assert!(!format!("{answer:?}").contains(text) || text.len() < 4, "{text:?} stands in the answer: {answer:?}");
    }
}

#[tokio::test]
async fn in_a_path_described_in_settings() {
    for (path, place, length) in
        [("/people/{who}", 2, 3), ("/people/{who}/copies", 2, 4), ("/{who}", 1, 2), ("/people/{who}/", 2, 4)]
    {
        let yaml = format!("{{kind: http, url: \"URL/v1\", delete: {{method: DELETE, path: \"{path}\"}}}}");
        each(&yaml, "who", |text, asked| {
            assert_eq!(asked.segments.len(), length, "{text:?} in {path}: {:?}", asked.segments);
            assert_eq!(asked.segments[place], text, "{path}");
            assert_eq!((asked.method.as_str(), asked.query.len()), ("DELETE", 0));
        })
        .await;
    }
}

#[tokio::test]
async fn in_a_part_of_a_segment() {
    let yaml = "{kind: http, url: \"URL\", delete: {method: DELETE, path: \"/people/.{who}\"}}";
    each(yaml, "who", |text, asked| assert_eq!(asked.segments, ["people", &format!(".{text}")])).await;
}

#[tokio::test]
async fn of_which_a_filter_leaves_nothing() {
    let yaml = "{kind: http, url: \"URL\", delete: {method: DELETE, path: \"/people/{who|digits}\"}}";
    each(yaml, "who", |text, asked| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(asked.segments, ["people", digits.as_str()]);
        assert!(!digits.is_empty(), "{text:?} names nobody");
    })
    .await;
    let yaml = "{kind: http, url: \"URL\", delete: {method: POST, path: /d, json: {hash: \"{who|digits|sha256}\"}}}";
    each(yaml, "who", |text, _| assert!(text.contains(|c: char| c.is_ascii_digit()), "{text:?} names nobody")).await;
}

#[tokio::test]
async fn in_query_header_form_and_json() {
    let yaml = "{kind: http, url: \"URL\", delete: {method: DELETE, path: /people, query: {who: \"{who}\"}}}";
    each(yaml, "who", |text, asked| {
        assert_eq!(asked.query, [("who".to_owned(), text.to_owned())]);
        assert_eq!(asked.segments, ["people"]);
    })
    .await;
    let yaml = "{kind: http, url: \"URL\", delete: {method: POST, path: /d, form: {who: \"{who}\", all: \"no\"}}}";
    each(yaml, "who", |text, asked| {
        let pairs: Vec<_> = asked.body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["who", "all"]);
        assert_eq!(unescaped(pairs[0].1, true), text);
    })
    .await;
    let yaml = "{kind: http, url: \"URL\", delete: {method: POST, path: /d, json: {who: \"{who}\"}}}";
    each(yaml, "who", |text, asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, serde_json::json!({"who": text}));
    })
    .await;
    let yaml = "{kind: http, url: \"URL\", delete: {method: POST, path: /d, headers: {Authorization: \"{who}\"}}}";
    each(yaml, "who", |text, _| {
        let fits = text.chars().all(|c| c == '\t' || (' '..='~').contains(&c)) && text.trim() == text;
        assert!(fits, "{text:?} does not arrive as it is");
    })
    .await;
}

#[tokio::test]
async fn stripe_and_paypal_name_one_object() {
    let stripe = "{kind: stripe, api_key: \"${X}\", url: URL}";
    each(stripe, "customer", |text, asked| {
        let place = asked.segments.iter().position(|segment| segment == "customers").unwrap() + 1;
        assert_eq!(asked.segments.get(place).map(String::as_str), Some(text), "{:?}", asked.segments);
    })
    .await;
    let paypal = "{kind: paypal, client_id: a, client_secret: \"${X}\", url: URL}";
    for (identifier, collection) in [("subscription", "subscriptions"), ("invoice", "invoices")] {
        each(paypal, identifier, |text, asked| {
            let place = asked.segments.iter().position(|segment| segment == collection).unwrap() + 1;
            assert_eq!(asked.segments.get(place).map(String::as_str), Some(text), "{:?}", asked.segments);
        })
        .await;
    }
    for identifier in ["payment_token", "customer"] {
        each(paypal, identifier, |text, asked| panic!("PayPal is asked about {text:?}: {:?}", asked.segments)).await;
    }
}

#[tokio::test]
async fn mouseflow_searches_for_one_visitor() {
    let mouseflow = "{kind: mouseflow, datacenter: eu, url: URL, user: a, api_key: \"${X}\", websites: [\"w\"]}";
    each(mouseflow, "visitor", |text, asked| {
        let search: Vec<_> = asked.query.iter().filter(|(name, _)| name == "search").collect();
        assert_eq!(search, [&("search".to_owned(), text.to_owned())]);
        assert_eq!(asked.segments, ["websites", "w", "recordings"]);
    })
    .await;
}

/// A place is named by the whole prefix of a list, and nothing is deleted that the list does not name.
#[tokio::test]
async fn clouds_are_asked_for_one_place() {
    let gcs = "kind: gcs, bucket: uploads, client_id: a, client_secret: \"${X}\", refresh_token: \"${X}\", url: URL, token_url: \
               URL/oauth2";
    let azure = "kind: azure_blob, account: a, container: uploads, tenant: a, client_id: a, client_secret: \"${X}\", url: URL, token_url: \
                 URL/oauth2";
    for (kind, segments) in [(gcs, &["storage", "v1", "b", "uploads", "o"][..]), (azure, &["uploads"][..])] {
        for (place, around) in [("keys: [\"id/{who}\"]", ["id/", ""]), ("prefixes: [\"id/{who}/\"]", ["id/", "/"])] {
            each(&format!("{{{kind}, {place}}}"), "who", |text, asked| {
                let prefixes: Vec<_> = asked.query.iter().filter(|(name, _)| name == "prefix").collect();
                assert_eq!(prefixes, [&("prefix".to_owned(), around.join(text))]);
                assert_eq!(asked.method, "GET");
                assert_eq!(asked.segments, segments);
                let leads_elsewhere = text.split('/').any(|piece| ["", ".", ".."].contains(&piece));
                assert!(!leads_elsewhere && !text.contains(['\\', '\n', '\0']), "{text:?}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn microsoft_removes_one_item() {
    let microsoft = "{kind: microsoft_ads, developer_token: \"${X}\", client_id: a, refresh_token: \"${X}\", customer: \"1\", account: \
                     \"2\", audience: \"3\", url: URL, token_url: URL/oauth2}";
    each(microsoft, "crm", |text, asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["CustomerListUserData"]["CustomerListItems"], serde_json::json!([text]));
    })
    .await;
    each(microsoft, "email", |text, _| panic!("Microsoft is asked about {text:?}")).await;
    let tiktok = "{kind: tiktok_ads, access_token: \"${X}\", advertiser: \"1\", audience: \"2\", url: URL}";
    each(tiktok, "email", |text, _| panic!("TikTok is asked about {text:?}")).await;
}

#[tokio::test]
async fn payment_gateways_name_one_member() {
    let protocol = "{kind: gmo_payment, site_id: a, site_password: \"${X}\", url: URL}";
    each(protocol, "member", |text, asked| {
        let pairs: Vec<_> = asked.body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["SiteID", "SitePass", "MemberID"]);
        assert_eq!(unescaped(pairs[2].1, true), text);
    })
    .await;
    let openapi = "{kind: gmo_payment_openapi, shop_id: a, shop_password: \"${X}\", url: URL}";
    each(openapi, "member", |text, asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, serde_json::json!({"memberId": text}));
    })
    .await;
    let sb = "{kind: sb_payment, merchant_id: \"30001\", service_id: \"001\", hash_key: \"${X}\", url: URL}";
    each(sb, "customer", |text, asked| {
        let values: Vec<_> = asked.body.split("cust_code>").collect();
        assert_eq!((values.len(), values[1]), (3, format!("{text}</").as_str()));
    })
    .await;
    let line = "{kind: line, channel_access_token: \"${X}\", bot: U0b00000000000000000000000000000b, audience: a, mode: expire, url: URL}";
    each(line, "user", |text, _| panic!("LINE is asked about {text:?}")).await;
}
