//! A stand-in of Google Ads: removal from Customer Match lists by the Data Manager API, and by jobs of the Google Ads API.
//!
//! After the discovery document `datamanager.v1` and google-ads 34.0.0. There is one account, 1234567890, with the list of
//! contacts 10, and the developer token `sandbox-developer-token`. Seed: `{"customers": {"1": {"20": {"type": "CONTACT", "members":
//! ["SHA-256 or id"]}}}, "managers": {"1": "9"}, "fail": {"SHA-256 or id": "PROCESSING_ERROR_REASON_…"}, "name_records": false, "refuse":
//! {"SHA-256 or id": "OPERATION_CODE"}, "allowlisted": false, "forget_requests": true, "fail_jobs": true}`, and what
//! [`google`](crate::recipients::google::stand_in) says. A request is worked through at the third look at it. `GET /_members/CUSTOMER/LIST`, which
//! Google does not have, shows who is in a list.

use crate::recipients::{
    google::stand_in::{Access, error, info, unknown_name},
    stand_in::{Request, Response, StandIn, Vendor, Window},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "google_ads",
    make: || Box::new(GoogleAds::new()),
    settings: "  google_ads:\n    url: {url}\n    token_url: {url}/token\n    customer: 123-456-7890\n    user_lists: [10]\n    \
               client_id: sandbox\n    client_secret: \"${GOOGLE_CLIENT_SECRET}\"  # anything\n    refresh_token: \
               \"${GOOGLE_REFRESH_TOKEN}\"  # 1// and anything\n",
};

const REMOVE: &str = "/v1/audienceMembers:remove";
const STATUS: &str = "/v1/requestStatus:retrieve";
const CREATE: &str = "/{version}/customers/{customer}/offlineUserDataJobs:create";
const ADD: &str = "/{version}/{job}:addOperations";
const RUN: &str = "/{version}/{job}:run";
const SEARCH: &str = "/{version}/customers/{customer}/googleAds:search";

const DEVELOPER_TOKEN: &str = "sandbox-developer-token";

/// At this look, work is done.
const LOOKS: u32 = 3;

struct GoogleAds {
    access: Access,
    /// Customer to list to what is known of it.
    customers: BTreeMap<String, BTreeMap<String, List>>,
    /// Customer to the manager that has to be named.
    managers: BTreeMap<String, String>,
    fail: BTreeMap<String, String>,
    name_records: bool,
    refuse: BTreeMap<String, String>,
    allowlisted: bool,
    fail_jobs: bool,
    requests: BTreeMap<String, Removal>,
    jobs: BTreeMap<String, Job>,
    window: Window,
    limits: bool,
    calls: u64,
}

struct List {
    kind: Kind,
    members: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Contact,
    Mobile,
    User,
}

/// A request that was accepted.
struct Removal {
    /// Customer and list.
    destinations: Vec<(String, String, Value)>,
    /// The keys of each record.
    records: Vec<Vec<String>>,
    looks: u32,
}

struct Job {
    customer: String,
    list: String,
    external: Option<String>,
    status: &'static str,
    keys: Vec<Vec<String>>,
    looks: u32,
}

/// What is wrong with a request: field, reason.
type Wrong = (String, &'static str);

impl GoogleAds {
    fn new() -> Self {
        let list = List { kind: Kind::Contact, members: BTreeSet::new() };
        Self {
            access: Access::default(),
            customers: BTreeMap::from([("1234567890".to_owned(), BTreeMap::from([("10".to_owned(), list)]))]),
            managers: BTreeMap::new(),
            fail: BTreeMap::new(),
            name_records: true,
            refuse: BTreeMap::new(),
            allowlisted: true,
            fail_jobs: false,
            requests: BTreeMap::new(),
            jobs: BTreeMap::new(),
            window: Window::new(300, Duration::from_secs(60)),
            limits: true,
            calls: 0,
        }
    }

    fn invalid(&self, route: &'static str, wrong: &[Wrong]) -> Response {
        let id = json!({"requestId": format!("req-{}", self.calls)});
        let violations: Vec<_> = wrong
            .iter()
            .map(|(field, reason)| json!({"field": field, "reason": reason, "description": "The value is not valid."}))
            .collect();
        let details = [
            info("INVALID_ARGUMENT", &id),
            json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}),
        ];
        error(route, 400, "INVALID_ARGUMENT", "There was a problem with the request.", &details)
    }

    fn remove(&mut self, request: &Request) -> Response {
        if let Err(response) = self.access.admit(REMOVE, request, &["https://www.googleapis.com/auth/datamanager"]) {
            return response;
        }
        if self.limits && self.window.is_over(REMOVE, request.at) {
            let limit = json!({"quota_limit": "IngestionRequestsPerMinutePerProject"});
            let details = [info("RATE_LIMIT_EXCEEDED", &limit)];
            return error(REMOVE, 429, "RESOURCE_EXHAUSTED", "Quota exceeded", &details);
        }
        let Some(body) = request.json().filter(Value::is_object) else {
            return self.invalid(REMOVE, &[(String::new(), "INVALID_FORMAT")]);
        };
        let known = ["destinations", "audienceMembers", "encoding", "encryptionInfo", "validateOnly"];
        if let Some(name) = unknown_name(&body, &known) {
            return self.invalid(REMOVE, &[(name, "INVALID_ARGUMENT")]);
        }
        let destinations = match self.destinations(&body) {
            Ok(destinations) => destinations,
            Err(response) => return *response,
        };
        let members = list_of(&body["audienceMembers"]);
        match members.len() {
            0 => return self.invalid(REMOVE, &[("audience_members".to_owned(), "REQUIRED_FIELD_MISSING")]),
            1..=10_000 => {}
            _ => return self.invalid(REMOVE, &[("audience_members".to_owned(), "TOO_MANY_AUDIENCE_MEMBERS")]),
        }
        let (mut records, mut wrong, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for (index, member) in members.iter().enumerate() {
            match read_member(member) {
                Ok((kind, keys)) => {
                    kinds.push(kind);
                    records.push(keys);
                }
                Err((field, reason)) => wrong.push((format!("audience_members[{index}].{field}"), reason)),
            }
        }
        if kinds.contains(&Kind::Contact) && body["encoding"] != "HEX" {
            wrong.push(("encoding".to_owned(), "REQUIRED_FIELD_MISSING"));
        }
        if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(("audience_members".to_owned(), "MULTIPLE_DATA_TYPES_NOT_ALLOWED"));
        }
        for (customer, list, _) in &destinations {
            if kinds.first().is_some_and(|kind| self.customers[customer][list].kind != *kind) {
                wrong.push(("destinations".to_owned(), "INVALID_USER_LIST_TYPE"));
            }
        }
        if !wrong.is_empty() {
            return self.invalid(REMOVE, &wrong);
        }
        let id = format!("rm-{:06}", self.calls);
        if body["validateOnly"] != true {
            self.requests.insert(id.clone(), Removal { destinations, records, looks: 0 });
        }
        Response::json(REMOVE, 200, &json!({"requestId": id}))
    }

    fn destinations(&self, body: &Value) -> Result<Vec<(String, String, Value)>, Box<Response>> {
        let invalid = |field: &str, reason| Err(Box::new(self.invalid(REMOVE, &[(field.to_owned(), reason)])));
        let destinations = list_of(&body["destinations"]);
        match destinations.len() {
            0 => return invalid("destinations", "REQUIRED_FIELD_MISSING"),
            1..=10 => {}
            _ => return invalid("destinations", "TOO_MANY_DESTINATIONS"),
        }
        let mut found = Vec::new();
        for destination in destinations {
            let known = ["reference", "operatingAccount", "loginAccount", "linkedAccount", "productDestinationId"];
            let account = &destination["operatingAccount"];
            let login = &destination["loginAccount"];
            let accounts = [account, login].into_iter().filter(|account| !account.is_null());
            let fits = |account: &Value| {
                let digits =
                    account["accountId"].as_str().is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
                account["accountType"] == "GOOGLE_ADS"
                    && digits
                    && unknown_name(account, &["accountType", "accountId"]).is_none()
            };
            if unknown_name(destination, &known).is_some() || !accounts.into_iter().all(fits) {
                return invalid("destinations", "INVALID_DESTINATION");
            }
            let customer = account["accountId"].as_str().unwrap_or_default();
            let manager = self.managers.get(customer).map(String::as_str);
            if !self.customers.contains_key(customer) || login["accountId"].as_str() != manager {
                let message = "The caller does not have permission";
                return Err(Box::new(error(
                    REMOVE,
                    403,
                    "PERMISSION_DENIED",
                    message,
                    &[info("PERMISSION_DENIED", &json!({}))],
                )));
            }
            let list = destination["productDestinationId"].as_str().unwrap_or_default();
            if !self.customers[customer].contains_key(list) {
                return invalid("destinations", "INVALID_USER_LIST_ID");
            }
            found.push((customer.to_owned(), list.to_owned(), destination.clone()));
        }
        Ok(found)
    }

    fn status(&mut self, request: &Request) -> Response {
        if let Err(response) = self.access.admit(STATUS, request, &["https://www.googleapis.com/auth/datamanager"]) {
            return response;
        }
        let [(name, id)] = &request.query[..] else {
            return self.invalid(STATUS, &[("request_id".to_owned(), "REQUIRED_FIELD_MISSING")]);
        };
        let Some(removal) = self.requests.get_mut(id).filter(|_| name == "requestId") else {
            let details = [info("INVALID_REQUEST_ID", &json!({}))];
            return error(STATUS, 400, "INVALID_ARGUMENT", "The request id is not valid.", &details);
        };
        removal.looks += 1;
        let done = removal.looks >= LOOKS;
        let mut statuses = Vec::new();
        for (customer, list, destination) in &removal.destinations {
            let mut status = json!({"destination": destination, "requestStatus": "PROCESSING"});
            if done {
                let mut failed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
                let list = self.customers.get_mut(customer).and_then(|lists| lists.get_mut(list));
                let mut members = list.map(|list| &mut list.members);
                for (index, keys) in removal.records.iter().enumerate() {
                    match keys.iter().find_map(|key| self.fail.get(key)) {
                        Some(reason) => failed.entry(reason).or_default().push(index),
                        None => {
                            if let Some(members) = &mut members {
                                members.retain(|member| !keys.contains(member));
                            }
                        }
                    }
                }
                let count = failed.values().map(Vec::len).sum::<usize>();
                status["requestStatus"] = match count {
                    0 => "SUCCESS",
                    count if count == removal.records.len() => "FAILED",
                    _ => "PARTIAL_SUCCESS",
                }
                .into();
                let errors = failed.iter().map(|(reason, records)| {
                    let mut error = json!({"reason": reason, "recordCount": records.len().to_string()});
                    if self.name_records {
                        error["recordIndices"] = json!(records);
                    }
                    error
                });
                if count > 0 {
                    status["errorInfo"] = json!({"errorCounts": errors.collect::<Vec<_>>()});
                }
                status["audienceMembersRemovalStatus"] =
                    json!({"userDataRemovalStatus": {"recordCount": removal.records.len().to_string()}});
            }
            statuses.push(status);
        }
        Response::json(STATUS, 200, &json!({"requestStatusPerDestination": statuses}))
    }

    /// The Google Ads API, below the version.
    fn ads(&mut self, request: &Request, rest: &[&str]) -> Response {
        let route = match rest {
            ["customers", _, "offlineUserDataJobs:create"] => CREATE,
            ["customers", _, "offlineUserDataJobs", name] if name.ends_with(":addOperations") => ADD,
            ["customers", _, "offlineUserDataJobs", name] if name.ends_with(":run") => RUN,
            ["customers", _, "googleAds:search"] => SEARCH,
            _ => return error("(unknown)", 404, "NOT_FOUND", "Method not found.", &[]),
        };
        if let Err(response) = self.access.admit(route, request, &["https://www.googleapis.com/auth/adwords"]) {
            return response;
        }
        let customer = rest[1];
        match request.header("developer-token") {
            None => return ads_error(route, 401, "authenticationError", "DEVELOPER_TOKEN_PARAMETER_MISSING"),
            Some(DEVELOPER_TOKEN) => {}
            Some(_) => return ads_error(route, 401, "authenticationError", "DEVELOPER_TOKEN_INVALID"),
        }
        let manager = self.managers.get(customer).map(String::as_str);
        if !self.customers.contains_key(customer) || request.header("login-customer-id") != manager {
            return ads_error(route, 403, "authorizationError", "USER_PERMISSION_DENIED");
        }
        if !self.allowlisted && route == CREATE {
            return ads_error(route, 403, "userListError", "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE");
        }
        let Some(body) = request.json().filter(Value::is_object) else {
            return ads_error(route, 400, "requestError", "UNKNOWN");
        };
        match route {
            CREATE => self.create(customer, &body),
            ADD => self.add(customer, rest[3].trim_end_matches(":addOperations"), &body),
            RUN => self.run(customer, rest[3].trim_end_matches(":run"), &body),
            _ => self.search(customer, &body),
        }
    }

    fn create(&mut self, customer: &str, body: &Value) -> Response {
        let job = &body["job"];
        let known = ["type", "customerMatchUserListMetadata", "externalId"];
        if unknown_name(body, &["job", "validateOnly", "enableMatchRateRangePreview"]).is_some()
            || unknown_name(job, &known).is_some()
            || job["type"] != "CUSTOMER_MATCH_USER_LIST"
        {
            return ads_error(CREATE, 400, "requestError", "REQUIRED_FIELD_MISSING");
        }
        let list = job["customerMatchUserListMetadata"]["userList"].as_str().unwrap_or_default();
        let list = list.strip_prefix(&format!("customers/{customer}/userLists/")).unwrap_or_default();
        if !self.customers[customer].contains_key(list) {
            return ads_error(CREATE, 400, "offlineUserDataJobError", "INVALID_USER_LIST_ID");
        }
        let external = job["externalId"].as_str().map(str::to_owned);
        if external.is_some() && self.jobs.values().any(|job| job.customer == customer && job.external == external) {
            return ads_error(CREATE, 400, "offlineUserDataJobError", "EXTERNAL_UPDATE_ID_ALREADY_EXISTS");
        }
        if body["validateOnly"] == true {
            return Response::json(CREATE, 200, &json!({}));
        }
        let name = format!("customers/{customer}/offlineUserDataJobs/{}", self.jobs.len() + 1);
        let job = Job {
            customer: customer.to_owned(),
            list: list.to_owned(),
            external,
            status: "PENDING",
            keys: Vec::new(),
            looks: 0,
        };
        self.jobs.insert(name.clone(), job);
        Response::json(CREATE, 200, &json!({"resourceName": name}))
    }

    fn add(&mut self, customer: &str, job: &str, body: &Value) -> Response {
        let name = format!("customers/{customer}/offlineUserDataJobs/{job}");
        let Some(job) = self.jobs.get_mut(&name) else {
            return ads_error(ADD, 404, "requestError", "RESOURCE_NOT_FOUND");
        };
        if job.status != "PENDING" {
            return ads_error(ADD, 400, "offlineUserDataJobError", "JOB_ALREADY_STARTED");
        }
        if unknown_name(body, &["operations", "enablePartialFailure", "enableWarnings", "validateOnly"]).is_some() {
            return ads_error(ADD, 400, "requestError", "UNKNOWN");
        }
        let operations = list_of(&body["operations"]);
        if operations.is_empty() {
            return ads_error(ADD, 400, "requestError", "OPERATION_REQUIRED");
        }
        let (mut keys, mut errors, mut count) = (Vec::new(), Vec::new(), 0);
        for (index, operation) in operations.iter().enumerate() {
            let read = read_operation(operation);
            let read = read.and_then(|keys| match keys.iter().find_map(|key| self.refuse.get(key)) {
                Some(code) => Err(code.clone()),
                None => Ok(keys),
            });
            match read {
                Ok(one) => {
                    count += one.len();
                    keys.push(one);
                }
                Err(code) => {
                    // As protobuf writes JSON: an index of 0 is left out.
                    let mut element = json!({"fieldName": "operations"});
                    if index > 0 {
                        element["index"] = index.into();
                    }
                    errors.push(json!({
                        "errorCode": {"offlineUserDataJobError": code}, "message": "The operation is not valid.",
                        "location": {"fieldPathElements": [element, {"fieldName": "remove"}]},
                    }));
                }
            }
        }
        if count > 100_000 {
            return ads_error(ADD, 400, "offlineUserDataJobError", "TOO_MANY_USER_IDENTIFIERS");
        }
        if !errors.is_empty() && body["enablePartialFailure"] != true {
            return ads_error(ADD, 400, "offlineUserDataJobError", "MISSING_USER_IDENTIFIER");
        }
        job.keys.extend(keys);
        let mut answer = json!({});
        if !errors.is_empty() {
            answer["partialFailureError"] = json!({
                "code": 3, "message": "Multiple errors in ‘details’.",
                "details": [{"@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure", "errors": errors}],
            });
        }
        Response::json(ADD, 200, &answer)
    }

    fn run(&mut self, customer: &str, job: &str, body: &Value) -> Response {
        let name = format!("customers/{customer}/offlineUserDataJobs/{job}");
        let Some(job) = self.jobs.get_mut(&name) else {
            return ads_error(RUN, 404, "requestError", "RESOURCE_NOT_FOUND");
        };
        if unknown_name(body, &["validateOnly"]).is_some() {
            return ads_error(RUN, 400, "requestError", "UNKNOWN");
        }
        if job.status != "PENDING" {
            return ads_error(RUN, 400, "offlineUserDataJobError", "JOB_ALREADY_STARTED");
        }
        job.status = "RUNNING";
        Response::json(RUN, 200, &json!({"name": format!("customers/{customer}/operations/1")}))
    }

    fn search(&mut self, customer: &str, body: &Value) -> Response {
        const SELECT: &str = "SELECT offline_user_data_job.resource_name, offline_user_data_job.status FROM \
                              offline_user_data_job WHERE offline_user_data_job.";
        let query = body["query"].as_str().unwrap_or_default();
        let condition = query.strip_prefix(SELECT).and_then(|condition| condition.split_once(" = "));
        let Some((field, value)) = condition.filter(|_| unknown_name(body, &["query", "pageToken"]).is_none()) else {
            return ads_error(SEARCH, 400, "queryError", "UNEXPECTED_FROM_CLAUSE");
        };
        let fits = |name: &str, job: &Job| match field {
            "resource_name" => value == format!("'{name}'"),
            "external_id" => job.external.as_deref() == Some(value),
            _ => false,
        };
        let mut rows = Vec::new();
        let jobs = self.jobs.iter_mut().filter(|(name, job)| job.customer == customer && fits(name, job));
        for (name, job) in jobs {
            if job.status == "RUNNING" {
                job.looks += 1;
                if job.looks >= LOOKS && self.fail_jobs {
                    job.status = "FAILED";
                } else if job.looks >= LOOKS {
                    job.status = "SUCCESS";
                    if let Some(list) = self.customers.get_mut(customer).and_then(|lists| lists.get_mut(&job.list)) {
                        list.members.retain(|member| !job.keys.iter().flatten().any(|key| key == member));
                    }
                }
            }
            rows.push(json!({"offlineUserDataJob": {"resourceName": name, "status": job.status}}));
        }
        Response::json(SEARCH, 200, &json!({"results": rows, "fieldMask": "offlineUserDataJob.status"}))
    }
}

impl Vendor for GoogleAds {
    fn answer(&mut self, request: &Request) -> Response {
        self.calls += 1;
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            (_, ["token"]) => self.access.token(request),
            ("POST", ["v1", "audienceMembers:remove"]) => self.remove(request),
            ("GET", ["v1", "requestStatus:retrieve"]) => self.status(request),
            ("GET", ["_members", customer, list]) => {
                let list = self.customers.get(*customer).and_then(|lists| lists.get(*list));
                Response::json("/_members", 200, &json!(list.map(|list| &list.members)))
            }
            ("POST", [version, rest @ ..]) if ["v23", "v24", "v25", "v26"].contains(version) => {
                let id = format!("ads-{:06}", self.calls);
                self.ads(request, rest).header("request-id", id)
            }
            _ => error("(unknown)", 404, "NOT_FOUND", "Method not found.", &[]),
        }
    }

    fn seed(&mut self, seed: &Value) {
        self.access.seed(seed);
        let entries = |key: &str| -> Vec<(String, String)> {
            let entries = seed[key].as_object().into_iter().flatten();
            entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        };
        for (customer, lists) in seed["customers"].as_object().into_iter().flatten() {
            for (id, list) in lists.as_object().into_iter().flatten() {
                let kind = match list["type"].as_str() {
                    Some("MOBILE") => Kind::Mobile,
                    Some("USER") => Kind::User,
                    _ => Kind::Contact,
                };
                let members = list_of(&list["members"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let lists = self.customers.entry(customer.clone()).or_default();
                lists.insert(id.clone(), List { kind, members });
            }
        }
        self.managers.extend(entries("managers"));
        self.fail.extend(entries("fail"));
        self.refuse.extend(entries("refuse"));
        let flag = |key: &str, value: &mut bool| *value = seed[key].as_bool().unwrap_or(*value);
        flag("name_records", &mut self.name_records);
        flag("allowlisted", &mut self.allowlisted);
        flag("fail_jobs", &mut self.fail_jobs);
        if seed["forget_requests"] == true {
            self.requests.clear();
        }
    }

    fn limits(&mut self, on: bool) {
        self.limits = on;
    }
}

fn list_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// One audience member: its type and keys.
fn read_member(member: &Value) -> Result<(Kind, Vec<String>), Wrong> {
    let wrong = |field: &str, reason| Err((field.to_owned(), reason));
    let data = ["userData", "mobileData", "userIdData"];
    let given: Vec<&str> = data.into_iter().filter(|name| !member[*name].is_null()).collect();
    if unknown_name(member, &["userData", "mobileData", "userIdData", "destinationReferences", "consent"]).is_some() {
        return wrong("", "INVALID_AUDIENCE_MEMBER");
    }
    match given[..] {
        ["userData"] => {
            let identifiers = list_of(&member["userData"]["userIdentifiers"]);
            match identifiers.len() {
                0 => return wrong("user_data", "NO_IDENTIFIERS_PROVIDED"),
                1..=10 => {}
                _ => return wrong("user_data", "TOO_MANY_USER_IDENTIFIERS"),
            }
            let mut keys = Vec::new();
            for identifier in identifiers {
                if identifier.as_object().is_none_or(|fields| fields.len() != 1) {
                    return wrong("user_data.user_identifiers", "INVALID_FORMAT");
                }
                let address = &identifier["address"];
                let hashes: Vec<&Value> = match address {
                    Value::Null => vec![&identifier["emailAddress"], &identifier["phoneNumber"]],
                    _ => vec![&address["givenName"], &address["familyName"]],
                };
                let hashes: Vec<&str> = hashes.into_iter().filter_map(Value::as_str).collect();
                if hashes.is_empty() || !hashes.iter().all(|hash| is_hash(hash)) {
                    return wrong("user_data.user_identifiers", "INVALID_SHA256_FORMAT");
                }
                if !address.is_null() {
                    let region = address["regionCode"].as_str().unwrap_or_default();
                    if region.len() != 2 || !region.bytes().all(|byte| byte.is_ascii_uppercase()) {
                        return wrong("user_data.user_identifiers.address.region_code", "INVALID_COUNTRY_CODE");
                    }
                    if address["postalCode"].as_str().is_none_or(str::is_empty) || hashes.len() != 2 {
                        return wrong("user_data.user_identifiers.address", "REQUIRED_FIELD_MISSING");
                    }
                }
                keys.push(hashes.join("/"));
            }
            Ok((Kind::Contact, keys))
        }
        ["mobileData"] => {
            let ids = list_of(&member["mobileData"]["mobileIds"]);
            // 8-4-4-4-12 hexadecimal digits.
            let is_id = |id: &&str| id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            let texts: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
            if texts.is_empty() || texts.len() > 10 || !texts.iter().all(is_id) {
                return wrong("mobile_data.mobile_ids", "INVALID_MOBILE_ID_FORMAT");
            }
            Ok((Kind::Mobile, texts.into_iter().map(str::to_owned).collect()))
        }
        ["userIdData"] => match member["userIdData"]["userId"].as_str() {
            Some(id) if !id.is_empty() => Ok((Kind::User, vec![id.to_owned()])),
            _ => wrong("user_id_data.user_id", "REQUIRED_FIELD_MISSING"),
        },
        _ => wrong("", "INVALID_AUDIENCE_MEMBER"),
    }
}

/// One operation of a job: its keys, or a code.
fn read_operation(operation: &Value) -> Result<Vec<String>, String> {
    let identifiers = list_of(&operation["remove"]["userIdentifiers"]);
    if unknown_name(operation, &["remove"]).is_some() {
        return Err("CONFLICTING_OPERATION".to_owned());
    }
    match identifiers.len() {
        0 => return Err("MISSING_USER_IDENTIFIER".to_owned()),
        1..=20 => {}
        _ => return Err("TOO_MANY_USER_IDENTIFIERS".to_owned()),
    }
    let mut keys = Vec::new();
    for identifier in identifiers {
        let fields: Vec<_> = identifier.as_object().into_iter().flatten().collect();
        let [(name, value)] = fields[..] else { return Err("INCOMPATIBLE_USER_IDENTIFIER".to_owned()) };
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "hashedEmail" | "hashedPhoneNumber" if is_hash(text) => keys.push(text.to_owned()),
            "hashedEmail" | "hashedPhoneNumber" => return Err("INVALID_ENCODING".to_owned()),
            "mobileId" | "thirdPartyUserId" if !text.is_empty() => keys.push(text.to_owned()),
            "addressInfo" => {
                let hashes = [&value["hashedFirstName"], &value["hashedLastName"]];
                let hashes: Vec<&str> =
                    hashes.into_iter().filter_map(Value::as_str).filter(|hash| is_hash(hash)).collect();
                let country = value["countryCode"].as_str().unwrap_or_default();
                if hashes.len() != 2 || value["postalCode"].as_str().is_none_or(str::is_empty) {
                    return Err("INVALID_ENCODING".to_owned());
                }
                if country.len() != 2 {
                    return Err("INVALID_COUNTRY_CODE".to_owned());
                }
                keys.push(hashes.join("/"));
            }
            _ => return Err("INCOMPATIBLE_USER_IDENTIFIER".to_owned()),
        }
    }
    Ok(keys)
}

/// An error of the Google Ads API.
fn ads_error(route: &'static str, status: u16, family: &str, code: &str) -> Response {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        _ => "INVALID_ARGUMENT",
    };
    let failure = json!({
        "@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure",
        "errors": [{"errorCode": {family: code}, "message": "The request is not valid."}],
        "requestId": "sandbox",
    });
    error(route, status, word, "Request contains an invalid argument.", &[failure])
}
