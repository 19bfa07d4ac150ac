//! Replies of recipients: whatever a server answers, nobody counts as deleted but by the words that the vendor documents for
//! exactly this person, and no page of a proxy counts at all.
//!
//! An input names the recipient in its first line; then come the replies in the order in which they are given, each a line
//! with the status and maybe a header (`429 retry-after: 5`), and a body, with lines of `---` between them. The last one is
//! given again.

use super::{Target, kind};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use sunset::{
    diagnostic::Severity,
    recipients::{self, Answer, Plumbing, State, Subject},
    settings,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

pub static TARGET: Target = Target {
    name: "replies",
    check,
    seeds: &[],
    words: &[
        "stripe\n",
        "paypal\n",
        "meta\n",
        "mouseflow\n",
        "criteo\n",
        "webhook\n",
        "http\n",
        "x_ads\n",
        "tiktok_ads\n",
        "microsoft_ads\n",
        "gcs\n",
        "azure_blob\n",
        "\"kind\":\"storage#objects\"",
        "\"kind\":\"storage#bucket\",\"name\":\"b\"",
        "\"items\":[{\"name\":\"a\",\"generation\":\"1\"}]",
        "\"hardDeleteTime\":\"2041-02-03T00:00:00Z\"",
        "\"nextPageToken\":\"1\"",
        "200 x-ms-is-hns-enabled: false\n",
        "<EnumerationResults ContainerName=\"c\"><Prefix>a</Prefix><Blobs>",
        "</Blobs></EnumerationResults>",
        "<Blob><Name>a</Name></Blob>",
        "<Deleted>true</Deleted>",
        "<NextMarker>m</NextMarker>",
        "gmo_payment\n",
        "gmo_payment_openapi\n",
        "sb_payment\n",
        "line\n",
        "\"userId\":\"U0b00000000000000000000000000000b\"",
        "\"audienceGroups\":[",
        "\"hasNextPage\":false",
        "\"audienceGroupId\":7",
        "\"createRoute\":\"MESSAGING_API\"",
        "\"status\":\"EXPIRED\"",
        "\"expireTimestamp\":1",
        "<sps-api-response id=\"MG02-00104-101\">",
        "<sps-api-response id=\"MG02-00103-101\">",
        "<sps-api-response>",
        "</sps-api-response>",
        "<res_result>NG</res_result>",
        "<res_result>OK</res_result>",
        "<res_err_code>10195999</res_err_code>",
        "<res_err_code/>",
        "<!--",
        "-->",
        "<![CDATA[",
        "ErrCode=E01&ErrInfo=E01390002",
        "ErrCode=E01&ErrInfo=E01240002",
        "ErrCode=E01|E01&ErrInfo=E01390002|E01240002",
        "ErrCode=E01&ErrInfo=E01210002",
        "|E01",
        "MemberID=m-1&MemberName=&DeleteFlag=0",
        "MemberID=m-1",
        "&DeleteFlag=1",
        "CardSeq=0|1&DeleteFlag=0|1",
        "CardSeq=0",
        "202\n",
        "\"memberId\":\"m-1\"",
        "\"title\":\"invalid_parameter\"",
        "\"code\":0",
        "\"code\":40002",
        "\"message\":\"OK\"",
        "\"request_id\":\"2\"",
        "\"PartialErrors\":[]",
        "\"PartialErrors\":null",
        "\"Errors\":[{\"Code\":109}]",
        "{\"Index\":0,\"Code\":4602}",
        "\"success_count\":1",
        "\"total_count\":1",
        "\"operation_errors\":[]",
        "\"request\":{}",
        "200\n",
        "204\n",
        "404\n",
        "302\n",
        "500\n",
        "429 retry-after: 5\n",
        "429 x-rate-limit-reset: 9\n",
        "\"expires_in\":9000",
        "\n---\n",
        "\"deleted\":true",
        "\"deleted\":false",
        "\"id\":\"cus_A1\"",
        "\"id\":\"cus_B2\"",
        "\"error\":{",
        "\"code\":\"resource_missing\"",
        "\"num_received\":1",
        "\"success\":true",
        "\"recordings\":[]",
        "\"status\":\"deleted\"",
        "\"status\":\"gone\"",
        "\"access_token\":\"t\"",
        "\"name\":\"RESOURCE_NOT_FOUND\"",
        "\"nbValidIdentifiers\":1",
        "\"nbInvalidIdentifiers\":0",
        "<html>",
        "<!doctype html>",
        "null",
        "[]",
        "{}",
        "\"",
        ",",
        "true",
        "18446744073709551615",
        "1e999",
        "\\ud800",
    ],
};

/// What a recipient is set up with, whom it is asked about, and whether these replies let the person count as deleted.
struct Vendor {
    name: &'static str,
    settings: &'static str,
    identifier: (&'static str, &'static str),
    allows: fn(&[Reply]) -> bool,
}

const VENDORS: &[Vendor] = &[
    Vendor {
        name: "stripe",
        settings: "{kind: stripe, api_key: \"${X}\", url: URL}",
        identifier: ("customer", "cus_A1"),
        allows: |replies| {
            replies.iter().any(|reply| {
                let body = reply.json();
                reply.is_success() && body["id"] == "cus_A1" && body["deleted"] == true
                    || reply.status == 404 && body["error"]["code"] == "resource_missing"
            })
        },
    },
    Vendor {
        name: "paypal",
        settings: "{kind: paypal, client_id: a, client_secret: \"${X}\", url: URL}",
        identifier: ("payment_token", "8kk845123"),
        allows: |replies| {
            let known = ["RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"];
            let is_missing = |body: &Value| {
                let details = body["details"].as_array().into_iter().flatten();
                details
                    .map(|detail| &detail["issue"])
                    .chain([&body["name"]])
                    .any(|name| known.iter().any(|known| name == known))
            };
            // the first is about the token that calls are made with
            replies
                .iter()
                .skip(1)
                .any(|reply| reply.is_success() && !reply.is_page() || reply.status == 404 && is_missing(&reply.json()))
        },
    },
    Vendor {
        name: "meta",
        settings: "{kind: meta, access_token: \"${X}\", ad_account: act_1, url: URL}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().any(|reply| {
                let body = reply.json();
                let one = |count: &Value| *count == 1 || *count == "1";
                body["error"].is_object()
                    || reply.is_success() && (one(&body["num_received"]) || body["success"] == true)
            })
        },
    },
    Vendor {
        name: "mouseflow",
        settings: "{kind: mouseflow, datacenter: eu, url: URL, user: a, api_key: \"${X}\", websites: [\"w\"]}",
        identifier: ("visitor", "v1"),
        allows: |replies| replies.iter().any(|reply| reply.is_success() && reply.json()["recordings"].is_array()),
    },
    Vendor {
        name: "criteo",
        settings: "{kind: criteo, client_id: a, client_secret: \"${X}\", audience: \"1\", url: URL}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().skip(1).any(|reply| {
                let attributes = &reply.json()["data"]["attributes"];
                reply.is_success() && attributes["nbValidIdentifiers"] == 1 && attributes["nbInvalidIdentifiers"] == 0
            })
        },
    },
    Vendor {
        name: "webhook",
        settings: "{kind: webhook, url: URL, identifiers: [email], secret: \"${X}\"}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().any(|reply| {
                let body = reply.json();
                let words = |value: &Value| value == "deleted" || value == "gone";
                let results = body["results"].as_array().into_iter().flatten();
                let own: Vec<_> = results.filter(|result| result["reference"] == "0".repeat(32)).collect();
                reply.status == 204
                    || reply.status == 200 && !own.is_empty() && own.iter().all(|result| words(&result["status"]))
            })
        },
    },
    Vendor {
        name: "x_ads",
        settings: "{kind: x_ads, account: a, audience: \"1hr8o\", consumer_key: \"${X}\", consumer_secret: \"${X}\", \
                   access_token: \"${X}\", access_token_secret: \"${X}\", url: URL}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().any(|reply| {
                let body = reply.json();
                let (data, is_empty) = (&body["data"], |errors: &Value| errors.as_array().is_none_or(Vec::is_empty));
                let removed = data["success_count"] == 1 && data["total_count"] == 1;
                let deleted = data["id"] == "1hr8o" && data["deleted"] == true;
                reply.is_success()
                    && (removed && is_empty(&body["errors"]) && is_empty(&body["operation_errors"]) || deleted)
            })
        },
    },
    Vendor {
        name: "tiktok_ads",
        settings: "{kind: tiktok_ads, access_token: \"${X}\", advertiser: \"1\", audience: \"2\", url: URL}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().any(|reply| {
                let body = reply.json();
                let said = |name: &str| body[name].as_str();
                reply.status == 200
                    && body["code"] == 0
                    && said("message").is_some()
                    && said("request_id").is_some_and(|id| !id.is_empty())
            })
        },
    },
    Vendor {
        name: "microsoft_ads",
        settings: "{kind: microsoft_ads, developer_token: \"${X}\", client_id: a, refresh_token: \"${X}\", customer: \"1\", account: \
                   \"2\", audience: \"3\", url: URL, token_url: URL}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            // the first is about the token that calls are made with
            replies.iter().skip(1).any(|reply| {
                let body = reply.json();
                let none = |name: &str| body[name].as_array().is_none_or(Vec::is_empty);
                reply.status == 200
                    && body["PartialErrors"].as_array().is_some_and(Vec::is_empty)
                    && ["Errors", "OperationErrors", "BatchErrors"].into_iter().all(none)
            })
        },
    },
    Vendor {
        name: "gcs",
        settings: "{kind: gcs, bucket: b, client_id: a, client_secret: \"${X}\", refresh_token: \"${X}\", url: URL, token_url: URL, \
                   keys: [\"{path}\"]}",
        identifier: ("path", "a"),
        // the list of what soft delete keeps is the last word, or that the bucket has no soft delete
        allows: |replies| {
            replies.iter().skip(1).next_back().is_some_and(|reply| {
                let body = reply.json();
                let items = body["items"].as_array().into_iter().flatten();
                let is_empty = body["kind"] == "storage#objects" && items.into_iter().all(|item| item["name"] != "a");
                reply.is_success() && (is_empty || body["kind"] == "storage#bucket" && body["name"] == "b")
            })
        },
    },
    Vendor {
        name: "azure_blob",
        settings: "{kind: azure_blob, account: a, container: c, tenant: t, client_id: a, client_secret: \"${X}\", url: URL, token_url: \
                   URL, keys: [\"{path}\"]}",
        identifier: ("path", "a"),
        // so is the list of an account that says to be one whose lists show everything
        allows: |replies| {
            let is_flat = |reply: &Reply| reply.is_success() && reply.header.trim_end() == "x-ms-is-hns-enabled: false";
            let is_list = |reply: &Reply| reply.is_success() && reply.body.contains("<EnumerationResults");
            replies.iter().any(is_flat) && replies.last().is_some_and(is_list)
        },
    },
    Vendor {
        name: "gmo_payment",
        settings: "{kind: gmo_payment, site_id: a, site_password: \"${X}\", url: URL}",
        identifier: ("member", "m-1"),
        // the last but one is the look-up after a deletion, and the last one that of the cards
        allows: |replies| {
            let is_absent = |reply: &Reply| {
                let body = reply.body.trim_end();
                reply.status == 200
                    && (body == "ErrCode=E01&ErrInfo=E01390002" || body == "ErrInfo=E01390002&ErrCode=E01")
            };
            let codes = |reply: &Reply| {
                let body = reply.body.replace("E01390002", "").replace("E01240002", "").replace("E01", "");
                let rest: String = body.chars().filter(|c| !"|&\r\n".contains(*c)).collect();
                reply.status == 200 && ["ErrCode=ErrInfo=", "ErrInfo=ErrCode="].contains(&rest.as_str())
            };
            let names = |reply: &Reply| reply.status == 200 && reply.body.contains("MemberID=m-1");
            match replies {
                [only] => is_absent(only),
                [first, .., member, cards] => names(first) && is_absent(member) && codes(cards),
                _ => false,
            }
        },
    },
    Vendor {
        name: "gmo_payment_openapi",
        settings: "{kind: gmo_payment_openapi, shop_id: a, shop_password: \"${X}\", url: URL}",
        identifier: ("member", "m-1"),
        allows: |replies| {
            let own = |reply: &Reply| reply.json()["memberId"] == "m-1";
            replies.first().is_some_and(|reply| reply.status == 202 && own(reply))
                && !replies.get(1).is_some_and(|reply| reply.is_success() && own(reply))
        },
    },
    Vendor {
        name: "sb_payment",
        settings: "{kind: sb_payment, merchant_id: \"30001\", service_id: \"001\", hash_key: \"${X}\", url: URL}",
        identifier: ("customer", "c-1"),
        // the last one is a look-up, and says the one code
        allows: |replies| {
            let has = |reply: &Reply, texts: &[&str]| {
                reply.status == 200 && texts.iter().all(|text| reply.body.contains(text))
            };
            let absent = ["<sps-api-response", "NG", "10195999", "</sps-api-response"];
            match replies {
                [only] => has(only, &absent),
                [first, _, last] => has(first, &["MG02-00104-101", "OK"]) && has(last, &absent),
                _ => false,
            }
        },
    },
    Vendor {
        name: "line",
        settings: "{kind: line, channel_access_token: \"${X}\", bot: U0b00000000000000000000000000000b, audience: Members, mode: expire, \
                   url: URL}",
        identifier: ("user", "U4af4980629f1b1c2d3e4f5a6b7c8d9e0"),
        // all audiences of the name have expired, and the token is of the official account
        allows: |replies| {
            let is_bot = |reply: &Reply| reply.json()["userId"] == "U0b00000000000000000000000000000b";
            let expired = |reply: &Reply| {
                let body = reply.json();
                let mut groups = body["audienceGroups"].as_array().into_iter().flatten();
                reply.status == 200
                    && groups.any(|group| group["status"] == "EXPIRED" && group["createRoute"] == "MESSAGING_API")
            };
            replies.first().is_some_and(is_bot) && replies.iter().skip(1).any(expired)
        },
    },
    Vendor {
        name: "http",
        settings: "{kind: http, url: URL, grade: E1, delete: {method: DELETE, path: \"/p/{email}\", gone: [404], confirmed: \
                   {pointer: /deleted, is: [true]}}}",
        identifier: ("email", "a@mail.example"),
        allows: |replies| {
            replies.iter().any(|reply| {
                reply.is_success() && reply.json()["deleted"] == true
                    || reply.status == 404 && (reply.body.is_empty() || !reply.json().is_null())
            })
        },
    },
];

/// What vendors tell about time in, and Azure about its lists.
const HEADERS: &[&str] =
    &["retry-after", "x-rate-limit-reset", "x-account-rate-limit-reset", "x-ratelimit-reset", "x-ms-is-hns-enabled"];

#[derive(Clone)]
struct Reply {
    status: u16,
    header: String,
    body: String,
}

impl Reply {
    fn read(text: &str) -> Option<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let (status, header) = first.split_once(' ').unwrap_or((first, ""));
        let is_header = header.split_once(": ").is_some_and(|(name, _)| HEADERS.contains(&name));
        let header = if is_header && header.is_ascii() { format!("{}\r\n", header.trim_end()) } else { String::new() };
        let status = status.trim().parse().ok().filter(|status| (200..600).contains(status))?;
        // a reply of this status has no body
        let body = if status == 204 || status == 304 { "" } else { body };
        Some(Self { status, header, body: body.to_owned() })
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn is_page(&self) -> bool {
        let begin = self.body.trim_start().to_ascii_lowercase();
        ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| begin.starts_with(tag))
    }

    fn bytes(&self) -> String {
        let Self { status, header, body } = self;
        let length = if *status == 204 || *status == 304 {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{header}{length}connection: close\r\n\r\n{body}"
        )
    }
}

/// A server that gives the replies of the input.
struct Stand {
    runtime: Runtime,
    url: String,
    script: Arc<Mutex<Script>>,
    plumbing: Plumbing,
}

#[derive(Default)]
struct Script {
    replies: Vec<Reply>,
    given: Vec<Reply>,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let script: Arc<Mutex<Script>> = Arc::default();
    let kept = script.clone();
    runtime.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection, kept.clone()));
        }
    });
    let mut plumbing = Plumbing::new().expect("a client");
    plumbing.backoff.attempts = 1;
    plumbing.backoff.patience = Duration::ZERO;
    Stand { runtime, url, script, plumbing }
});

async fn answer(mut connection: TcpStream, script: Arc<Mutex<Script>>) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 8192]);
    while !is_whole(&bytes) {
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    let reply = {
        let mut script = script.lock().expect("no check has panicked while it wrote");
        let reply = script.replies.get(script.given.len()).or(script.replies.last()).cloned();
        script.given.extend(reply.clone());
        reply
    };
    if let Some(reply) = reply {
        let _ = connection.write_all(reply.bytes().as_bytes()).await;
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn check(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let Some((name, replies)) = text.split_once('\n') else { return "no replies".to_owned() };
    let Some(vendor) = VENDORS.iter().find(|vendor| vendor.name == name) else { return "nobody".to_owned() };
    let Some(replies) = replies.split("\n---\n").map(Reply::read).collect::<Option<Vec<_>>>() else {
        return "no status".to_owned();
    };
    let answer = ask(vendor, replies);
    let given = STAND.script.lock().expect("nobody panicked").given.clone();
    if matches!(answer.state, State::Confirmed | State::Gone) {
        assert!((vendor.allows)(&given), "{name} counts as {:?}: {}", answer.state, shown(&given));
        assert!(!given.last().is_some_and(Reply::is_page), "{name} takes a page for an answer: {}", shown(&given));
    }
    format!("{name} {} {}", answer.state.word(), kind(answer.state.reason().unwrap_or_default()))
}

fn shown(replies: &[Reply]) -> String {
    replies.iter().map(Reply::bytes).collect::<Vec<_>>().join("\n\n")
}

fn ask(vendor: &Vendor, replies: Vec<Reply>) -> Answer {
    let stand = &*STAND;
    *stand.script.lock().expect("nobody panicked") = Script { replies, given: Vec::new() };
    let source = format!(
        "time_zone: UTC\ndatabases: {{core: \"sqlite:x\"}}\nrecipients: {{shop: {}}}\n",
        vendor.settings.replace("URL", &format!("\"{}\"", stand.url))
    );
    let lookup = |variable: &settings::Variable| match variable {
        settings::Variable::Environment(_) => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        settings::Variable::File(_) => None,
    };
    let mut found = Vec::new();
    let read = settings::parse(Path::new("/jobs/demo"), "sunset.yaml", &source, &lookup, Severity::Error, &mut found);
    let settings = read.unwrap_or_else(|| panic!("{}: {found:?}", vendor.name)).recipients.remove("shop").expect("it");
    let (identifier, value) = vendor.identifier;
    let persons = [Subject::without_tag(BTreeMap::from([(identifier.to_owned(), value.to_owned())]))];
    stand.runtime.block_on(async {
        let recipient = recipients::open(&settings, &stand.plumbing).expect("a client");
        let asked = tokio::time::timeout(Duration::from_secs(20), recipient.delete(&persons));
        let mut answers = asked.await.expect("the recipient never comes to an end");
        assert_eq!(answers.len(), 1, "one person has one answer");
        answers.remove(0)
    })
}
