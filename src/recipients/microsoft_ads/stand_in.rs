//! A stand-in of Microsoft Advertising's campaign management v13: tokens, and the items of customer lists.
//!
//! After `applycustomerlistuserdata` and `getaudiencesbyids` of <https://github.com/MicrosoftDocs/Advertising>. Any client id gets a token for
//! a refresh token `ms_…`; any developer token is known; the customer is 11, its account 22. E-mail addresses and phone
//! numbers have to be SHA-256 in small hexadecimal digits.
//!
//! Seed: `{"lists": {"801": ["Email <hash>", "CRM u-1001", …]}, "expire_tokens": true}`. `POST …/Audiences/QueryByIds` tells as `SearchSize` how
//! many items are left.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub static STAND_IN: StandIn = StandIn {
    name: "microsoft_ads",
    make: || Box::new(MicrosoftAds::new()),
    settings: "  microsoft_ads:\n    url: {url}\n    token_url: {url}/common/oauth2/v2.0/token\n    developer_token: \
               \"${MICROSOFT_DEVELOPER_TOKEN}\"\n    client_id: sandbox\n    refresh_token: \"${MICROSOFT_REFRESH_TOKEN}\"  # ms_ and \
               anything\n    customer: \"11\"\n    account: \"22\"\n    audience: \"801\"\n    phone_form: plus\n",
};

const TOKEN: &str = "/common/oauth2/v2.0/token";
const APPLY: &str = "/CampaignManagement/v13/CustomerListUserData/Apply";
const QUERY: &str = "/CampaignManagement/v13/Audiences/QueryByIds";
const MOST: usize = 1000;

struct MicrosoftAds {
    /// The items of each list, each behind its type.
    lists: BTreeMap<String, BTreeSet<String>>,
    tokens: BTreeSet<String>,
    issued: u64,
    requests: u64,
}

impl MicrosoftAds {
    fn new() -> Self {
        Self { lists: [("801".to_owned(), BTreeSet::new())].into(), tokens: BTreeSet::new(), issued: 0, requests: 0 }
    }

    fn token(&mut self, request: &Request) -> Response {
        let form = request.form().unwrap_or_default();
        let get = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str());
        if get("grant_type") != "refresh_token" {
            return Response::json(TOKEN, 400, &json!({"error": "unsupported_grant_type"}));
        }
        if get("scope") != "https://ads.microsoft.com/msads.manage offline_access" {
            return Response::json(TOKEN, 400, &json!({"error": "invalid_scope"}));
        }
        if get("client_id").is_empty() || !get("refresh_token").starts_with("ms_") {
            return Response::json(TOKEN, 400, &json!({"error": "invalid_grant", "error_codes": [70000]}));
        }
        self.issued += 1;
        let token = format!("microsoft-token-{}", self.issued);
        self.tokens.insert(token.clone());
        let body =
            json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token, "refresh_token": "ms_newer"});
        Response::json(TOKEN, 200, &body)
    }

    fn apply(&mut self, request: &Request) -> Response {
        let invalid = || fault(APPLY, 400, 4600, "CampaignServiceInvalidRequest");
        let body = request.json().unwrap_or_default();
        let data = &body["CustomerListUserData"];
        let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        let wanted = ["ActionType", "AudienceId", "CustomerListItemSubType", "CustomerListItems"].map(str::to_owned);
        if keys(&body).is_none_or(|keys| keys != ["CustomerListUserData"])
            || keys(data).is_none_or(|keys| keys != wanted)
        {
            return invalid();
        }
        let (Some(action @ ("Add" | "Remove")), Some(kind @ ("Email" | "Phone" | "CRM")), Some(items)) = (
            data["ActionType"].as_str(),
            data["CustomerListItemSubType"].as_str(),
            data["CustomerListItems"].as_array().filter(|items| matches!(items.len(), 1..=MOST)),
        ) else {
            return invalid();
        };
        let Some(list) = data["AudienceId"].as_str().and_then(|id| self.lists.get_mut(id)) else {
            return fault(APPLY, 400, 4601, "CampaignServiceInvalidAudienceId");
        };
        let mut errors = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let is_good = |text: &&str| match kind {
                "CRM" => !text.trim().is_empty() && text.len() <= 100,
                _ => is_digest(text),
            };
            match item.as_str().filter(is_good) {
                Some(text) if action == "Add" => {
                    list.insert(format!("{kind} {text}"));
                }
                Some(text) => {
                    list.remove(&format!("{kind} {text}"));
                }
                None => errors.push(json!({
                    "Code": 4602, "ErrorCode": "CustomerListItemInvalid", "Index": index, "Message": "The item is not valid.",
                    "Details": null, "FieldPath": null, "Type": "BatchError", "ForwardCompatibilityMap": null,
                })),
            }
        }
        Response::json(APPLY, 200, &json!({"PartialErrors": errors}))
    }

    fn query(&self, request: &Request) -> Response {
        let body = request.json().unwrap_or_default();
        let ids = body["AudienceIds"].as_array().cloned().unwrap_or_default();
        if body["Type"] != "CustomerList" || ids.len() > 100 {
            return fault(QUERY, 400, 4600, "CampaignServiceInvalidRequest");
        }
        let (mut audiences, mut errors) = (Vec::new(), Vec::new());
        for (index, id) in ids.iter().enumerate() {
            match id.as_str().and_then(|id| self.lists.get_key_value(id)) {
                Some((id, items)) => {
                    audiences.push(json!({"Id": id, "Type": "CustomerList", "SearchSize": items.len()}));
                }
                None => {
                    audiences.push(Value::Null);
                    errors.push(json!({"Code": 4601, "ErrorCode": "CampaignServiceInvalidAudienceId", "Index": index}));
                }
            }
        }
        Response::json(QUERY, 200, &json!({"Audiences": audiences, "PartialErrors": errors}))
    }
}

fn fault(route: &'static str, status: u16, code: u64, name: &str) -> Response {
    let error = json!({"Code": code, "ErrorCode": name, "Message": "a message", "Details": null});
    Response::json(route, status, &json!({"TrackingId": "t-1", "Type": "ApiFault", "OperationErrors": [error]}))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Vendor for MicrosoftAds {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        if (request.method.as_str(), request.path.as_str()) == ("POST", TOKEN) {
            return self.token(request);
        }
        let header = |name: &str| request.header(name).unwrap_or_default();
        let response = if !request.bearer().is_some_and(|token| self.tokens.contains(token)) {
            fault("(token)", 401, 109, "AuthenticationTokenExpired")
        } else if header("developertoken").is_empty() {
            fault("(token)", 401, 105, "InvalidCredentials")
        } else if (header("customerid"), header("customeraccountid")) != ("11", "22") {
            fault("(account)", 403, 106, "UserIsNotAuthorized")
        } else {
            match (request.method.as_str(), request.path.as_str()) {
                ("POST", APPLY) => self.apply(request),
                ("POST", QUERY) => self.query(request),
                _ => Response::empty("(unknown)", 404),
            }
        };
        response.header("TrackingId", format!("{:08x}", self.requests))
    }

    fn seed(&mut self, seed: &Value) {
        for (id, items) in seed["lists"].as_object().into_iter().flatten() {
            let items = items.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            self.lists.entry(id.clone()).or_default().extend(items);
        }
        if seed["expire_tokens"] == Value::Bool(true) {
            self.tokens.clear();
        }
    }

    /// None are published.
    fn limits(&mut self, _on: bool) {}
}
