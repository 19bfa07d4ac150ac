//! A stand-in of Yahoo! JAPAN Ads' Display API v19: customer data lists, uploads, removal, tokens.
//!
//! After `design/v19` of <https://github.com/yahoojp-marketing/ads-display-api-documents>. Any client but one whose id, secret or
//! refresh token contains `wrong` gets a token. Seed: `{"lists": [{"id": 1, "name": "Members", "duration": 60, "in_use": true, "type": "LINE_OA_FRIEND"}],
//! "fate": "FAILED", "looks": 2, "test_account": true, "expire_tokens": true, "forbidden": true, "release": true}`. An upload is
//! received (or ends as `fate`) at the given look at its status; `release` takes all lists out of use.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub static STAND_IN: StandIn = StandIn {
    name: "yahoo_japan_ads",
    make: || Box::new(Yahoo::default()),
    settings: "  yahoo_japan_ads:\n    url: {url}\n    token_url: {url}/oauth/v1/token\n    client_id: \"${YAHOO_CLIENT_ID}\"  # \
               anything without \"wrong\" in it\n    client_secret: \"${YAHOO_CLIENT_SECRET}\"\n    refresh_token: \
               \"${YAHOO_REFRESH_TOKEN}\"\n    account: 1234567\n    mode: expiry\n    period: 90 days\n",
};

const LASTS: Duration = Duration::from_secs(60 * 60);

#[derive(Default)]
struct Yahoo {
    bearers: BTreeMap<String, Instant>,
    given: u64,
    lists: BTreeMap<u64, List>,
    jobs: BTreeMap<String, Job>,
    fate: Option<String>,
    looks: u32,
    test_account: bool,
    forbidden: bool,
    requests: u64,
}

struct List {
    /// As `audienceListType` has it.
    kind: String,
    name: String,
    description: String,
    duration: u64,
    in_use: bool,
    rows: BTreeSet<String>,
}

struct Job {
    list: u64,
    kind: String,
    status: String,
    looks: u32,
}

impl Vendor for Yahoo {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        if (request.method.as_str(), &segments[..]) == ("POST", &["oauth", "v1", "token"]) {
            return self.token(request);
        }
        let known = request.bearer().and_then(|token| self.bearers.get(token)).is_some_and(|until| request.at < *until);
        if !known {
            return self.whole("(token)", 401, "0111", "Access token expired");
        }
        if request.header("x-z-base-account-id").is_none_or(|id| id.parse::<i64>().is_err()) {
            return self.whole("(account)", 400, "0114", "Invalid x-z-base-account-id");
        }
        if self.forbidden {
            return self.whole("(account)", 403, "0098", "Permission denied");
        }
        let ("POST", ["AudienceListService", method]) = (request.method.as_str(), &segments[..]) else {
            return self.whole("(unknown)", 404, "0001", "No such service");
        };
        if *method == "uploadUserList" {
            return self.upload(request);
        }
        let Some(body) = request.json().filter(|body| body["accountId"].as_i64().is_some()) else {
            return self.whole("(body)", 200, "F0001", "accountId is required");
        };
        match *method {
            "get" => self.get(&body),
            "add" => self.add(&body),
            "remove" => self.remove(&body),
            "getUploadUserListStatus" => self.status(&body),
            _ => self.whole("(unknown)", 404, "0001", "No such operation"),
        }
    }

    fn seed(&mut self, seed: &Value) {
        for list in seed["lists"].as_array().into_iter().flatten() {
            let rows = list["rows"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            let new = List {
                kind: list["type"].as_str().unwrap_or("CUSTOMER_DATA").to_owned(),
                name: list["name"].as_str().unwrap_or_default().to_owned(),
                description: list["description"].as_str().unwrap_or_default().to_owned(),
                duration: list["duration"].as_u64().unwrap_or(180),
                in_use: list["in_use"] == Value::Bool(true),
                rows: rows.collect(),
            };
            self.lists.insert(list["id"].as_u64().unwrap_or_default(), new);
        }
        if let Some(fate) = seed["fate"].as_str() {
            self.fate = Some(fate.to_owned());
        }
        self.looks = seed["looks"].as_u64().and_then(|looks| u32::try_from(looks).ok()).unwrap_or(self.looks);
        self.test_account |= seed["test_account"] == Value::Bool(true);
        self.forbidden |= seed["forbidden"] == Value::Bool(true);
        if seed["expire_tokens"] == Value::Bool(true) {
            self.bearers.clear();
        }
        if seed["release"] == Value::Bool(true) {
            self.lists.values_mut().for_each(|list| list.in_use = false);
        }
    }

    /// No number is published.
    fn limits(&mut self, _: bool) {}
}

fn failure(code: &str) -> Value {
    let error =
        json!({"code": code, "message": "See the documentation.", "details": [{"requestKey": "audienceListId"}]});
    json!({"operationSucceeded": false, "errors": [error]})
}

impl Yahoo {
    fn rid(&self) -> String {
        format!("rid{:08x}", self.requests)
    }

    /// An error of the whole request.
    fn whole(&self, route: &'static str, status: u16, code: &str, message: &str) -> Response {
        let error = json!({"code": code, "message": message, "details": null});
        Response::json(route, status, &json!({"errors": [error], "rid": self.rid(), "rval": null}))
    }

    fn values(&self, route: &'static str, values: &[Value]) -> Response {
        let rval = json!({"totalNumEntries": values.len(), "values": values});
        Response::json(route, 200, &json!({"errors": null, "rid": self.rid(), "rval": rval}))
    }

    fn token(&mut self, request: &Request) -> Response {
        let route = "/oauth/v1/token";
        let form: BTreeMap<_, _> = request.form().unwrap_or_default().into_iter().collect();
        let get =
            |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty() && !text.contains("wrong"));
        let all = [get("client_id"), get("client_secret"), get("refresh_token")];
        if form.get("grant_type").map(String::as_str) != Some("refresh_token") {
            return Response::json(route, 400, &json!({"error": "unsupported_grant_type"}));
        }
        if all.contains(&None) {
            return Response::json(route, 400, &json!({"error": "invalid_grant"}));
        }
        self.given += 1;
        let token = format!("yahoo-{:012}", self.given);
        self.bearers.insert(token.clone(), request.at + LASTS);
        let body = json!({"access_token": token, "expires_in": LASTS.as_secs(), "token_type": "Bearer"});
        Response::json(route, 200, &body)
    }

    fn get(&self, body: &Value) -> Response {
        let route = "/AudienceListService/get";
        let known = [
            "accountId",
            "numberResults",
            "startIndex",
            "audienceListIds",
            "audienceListTypes",
            "sharingStatusFilterType",
            "includeDetail",
        ];
        if body.as_object().is_none_or(|body| body.keys().any(|key| !known.contains(&key.as_str()))) {
            return self.whole(route, 200, "F0002", "Unknown field");
        }
        let number = |key: &str, default| if body[key].is_null() { Some(default) } else { body[key].as_u64() };
        let (Some(most @ 1..=1000), Some(start @ 1..)) = (number("numberResults", 1000), number("startIndex", 1))
        else {
            return self.whole(route, 200, "F0003", "Out of range");
        };
        let kinds: Vec<_> = body["audienceListTypes"].as_array().into_iter().flatten().collect();
        let is_shown = |list: &List| kinds.is_empty() || kinds.iter().any(|kind| *kind == list.kind.as_str());
        let detail = body["includeDetail"] == Value::Bool(true);
        let (skip, take) = (usize::try_from(start - 1).unwrap_or(0), usize::try_from(most).unwrap_or(0));
        let all: Vec<_> = self.lists.iter().filter(|(_, list)| is_shown(list)).collect();
        let page = all.iter().copied().skip(skip).take(take);
        let values: Vec<_> = page.map(|(id, list)| shown_list(*id, list, detail)).collect();
        let rval = json!({"totalNumEntries": all.len(), "values": values});
        Response::json(route, 200, &json!({"errors": null, "rid": self.rid(), "rval": rval}))
    }

    fn add(&mut self, body: &Value) -> Response {
        let route = "/AudienceListService/add";
        let Some(operand) = body["operand"].as_array().filter(|operand| (1..=20).contains(&operand.len())) else {
            return self.whole(route, 200, "F0004", "1 to 20 operands");
        };
        let mut values = Vec::new();
        for new in operand {
            let name = new["audienceListName"].as_str().filter(|name| !name.is_empty());
            let content = &new["audienceListContent"];
            let duration = content["customerDataAudienceList"]["dataDuration"].as_u64();
            let (Some(name), "CUSTOMER_DATA", Some(duration @ 1..=180)) =
                (name, content["audienceListType"].as_str().unwrap_or_default(), duration)
            else {
                values.push(failure("210001"));
                continue;
            };
            if self.lists.values().any(|list| list.name == name) {
                values.push(failure("210003"));
                continue;
            }
            let id = self.lists.keys().max().copied().unwrap_or(1000) + 1;
            let list = List {
                kind: "CUSTOMER_DATA".to_owned(),
                name: name.to_owned(),
                description: new["description"].as_str().unwrap_or_default().to_owned(),
                duration,
                in_use: false,
                rows: BTreeSet::new(),
            };
            values.push(shown_list(id, &list, true));
            self.lists.insert(id, list);
        }
        self.values(route, &values)
    }

    fn remove(&mut self, body: &Value) -> Response {
        let route = "/AudienceListService/remove";
        let Some(operand) = body["operand"].as_array().filter(|operand| (1..=20).contains(&operand.len())) else {
            return self.whole(route, 200, "F0004", "1 to 20 operands");
        };
        let mut values = Vec::new();
        for old in operand {
            let id = old["audienceListId"].as_u64().unwrap_or_default();
            values.push(match self.lists.get(&id) {
                None => failure("110005"),
                Some(list) if list.in_use => failure("211005"),
                Some(list) => shown_list(id, list, false),
            });
            if self.lists.get(&id).is_some_and(|list| !list.in_use) {
                self.lists.remove(&id);
            }
        }
        self.values(route, &values)
    }

    fn upload(&mut self, request: &Request) -> Response {
        let route = "/AudienceListService/uploadUserList";
        if self.test_account {
            return self.whole(route, 200, "0200", "Not available for test accounts");
        }
        let query: BTreeMap<_, _> = request.query.iter().cloned().collect();
        let get = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let list = get("audienceListId").parse::<u64>().unwrap_or_default();
        let kind = get("uploadType");
        if get("accountId").parse::<i64>().is_err()
            || !["IDFA", "AAID", "MAIL_ADDRESS_AND_PHONE_NUMBER"].contains(&kind)
            || get("compressType") != "NONE"
        {
            return self.whole(route, 200, "F0003", "Out of range");
        }
        let Some(file) = file_of(request) else { return self.whole(route, 200, "F0005", "No file") };
        let Some(there) = self.lists.get_mut(&list) else { return self.values(route, &[failure("110005")]) };
        // Wrong rows are noticed later, when the file is read.
        let rows: Vec<&str> =
            file.split('\n').map(|row| row.trim_end_matches('\r')).filter(|row| !row.is_empty()).collect();
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let fits = |row: &&str| if kind.starts_with("MAIL") { row.len() == 64 && hex(row) } else { row.len() == 36 };
        let good = rows.len() >= 100 && rows.iter().all(fits);
        if good {
            there.rows.extend(rows.into_iter().map(str::to_owned));
        }
        let status = if good { "RECEIVING" } else { "INVALID_FILE" };
        let id = format!("job-{}", self.jobs.len() + 1);
        let job = Job { list, kind: kind.to_owned(), status: status.to_owned(), looks: 0 };
        let value = shown_job(&id, &job);
        self.jobs.insert(id, job);
        self.values(route, &[value])
    }

    fn status(&mut self, body: &Value) -> Response {
        let route = "/AudienceListService/getUploadUserListStatus";
        let known = ["accountId", "audienceListId", "numberResults", "uploadJobIds", "jobStatuses"];
        if body.as_object().is_none_or(|body| body.keys().any(|key| !known.contains(&key.as_str())))
            || !body["numberResults"].as_u64().is_none_or(|most| (1..=100).contains(&most))
        {
            return self.whole(route, 200, "F0003", "Out of range");
        }
        let wanted: Vec<_> = body["uploadJobIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut values = Vec::new();
        for (id, job) in &mut self.jobs {
            if body["audienceListId"].as_u64() != Some(job.list)
                || !(wanted.is_empty() || wanted.contains(&id.as_str()))
            {
                continue;
            }
            if job.status == "RECEIVING" {
                job.looks += 1;
                if job.looks >= self.looks {
                    self.fate.as_deref().unwrap_or("RECEIVED").clone_into(&mut job.status);
                }
            }
            values.push(shown_job(id, job));
        }
        self.values(route, &values)
    }
}

fn shown_list(id: u64, list: &List, detail: bool) -> Value {
    let mut content = json!({"audienceListType": list.kind});
    if detail && list.kind == "CUSTOMER_DATA" {
        content["customerDataAudienceList"] = json!({"dataDuration": list.duration});
    }
    let shown = json!({
        "audienceListId": id, "audienceListName": list.name, "description": list.description, "reach": list.rows.len(),
        "audienceListContent": content, "isShared": false,
    });
    json!({"operationSucceeded": true, "errors": null, "audienceList": shown})
}

fn shown_job(id: &str, job: &Job) -> Value {
    let shown = json!({
        "uploadJobId": id, "audienceListId": job.list, "uploadType": job.kind, "uploadSubmitDate": "20261122023000",
        "jobStatus": job.status,
    });
    json!({"operationSucceeded": true, "errors": null, "uploadJob": shown})
}

/// The one part of a multipart form, which is called `file`.
fn file_of(request: &Request) -> Option<String> {
    let boundary = request.header("content-type")?.strip_prefix("multipart/form-data; boundary=")?;
    let body = std::str::from_utf8(&request.body).ok()?;
    let part = body.strip_prefix(&format!("--{boundary}\r\n"))?.strip_suffix(&format!("\r\n--{boundary}--\r\n"))?;
    let (head, file) = part.split_once("\r\n\r\n")?;
    let named = head.lines().any(|line| {
        line.to_ascii_lowercase().starts_with("content-disposition: form-data;") && line.contains("name=\"file\"")
    });
    named.then(|| file.to_owned())
}
