//! A stand-in of TikTok's marketing API v1.3: audiences that are filled by streaming, and what an advertiser is.
//!
//! Any access token `tt_…` is known, and it may see the advertiser 7001. Errors come with HTTP 200. Identifiers have to be SHA-256 in
//! small hexadecimal digits; one that is not makes the whole call fail.
//!
//! Seed: `{"audiences": {"167290896": ["EMAIL_SHA256 <hash>", …]}}`. `GET …/dmp/custom_audience/get/` tells as `cover_num` how many are
//! left.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "tiktok_ads",
    make: || Box::new(TikTokAds::new()),
    settings: "  tiktok_ads:\n    url: {url}\n    access_token: \"${TIKTOK_TOKEN}\"  # tt_ and anything\n    advertiser: \"7001\"\n    \
               audience: \"167290896\"\n",
};

const MAPPING: &str = "/v1.3/segment/mapping/";
const ADVERTISER: &str = "/v1.3/advertiser/info/";
const AUDIENCE: &str = "/v1.3/dmp/custom_audience/get/";
const MOST: usize = 1000;
const OWN: &str = "7001";

struct TikTokAds {
    audiences: BTreeMap<String, BTreeSet<String>>,
    window: Option<Window>,
    requests: u64,
}

impl TikTokAds {
    fn new() -> Self {
        Self { audiences: [("167290896".to_owned(), BTreeSet::new())].into(), window: Some(limit()), requests: 0 }
    }

    fn say(&self, route: &'static str, code: u64, message: &str, data: &Value) -> Response {
        let id = format!("2026112202300001{:016X}", self.requests);
        Response::json(route, 200, &json!({"code": code, "message": message, "request_id": id, "data": data}))
    }

    fn mapping(&mut self, request: &Request) -> Response {
        if let Some(window) = &mut self.window
            && window.is_over(MAPPING, request.at)
        {
            return self.say(MAPPING, 40100, "Too many requests. Please retry in some time.", &json!({}));
        }
        match self.changed(request) {
            Ok(()) => self.say(MAPPING, 0, "OK", &json!({})),
            Err((code, message)) => self.say(MAPPING, code, message, &json!({})),
        }
    }

    fn changed(&mut self, request: &Request) -> Result<(), (u64, &'static str)> {
        let wrong = |message: &'static str| Err((40002, message));
        let Some(Value::Object(body)) = request.json() else { return wrong("the body is no JSON object") };
        let keys: Vec<_> = body.keys().map(String::as_str).collect();
        if keys != ["action", "advertiser_ids", "batch_data", "id_schema"] {
            return wrong("other parameters than documented");
        }
        if body["advertiser_ids"] != json!([OWN]) {
            return Err((40001, "No permission to operate advertiser"));
        }
        let adds = match body["action"].as_str() {
            Some("add") => true,
            Some("delete") => false,
            _ => return wrong("action has to be add or delete"),
        };
        let schema: Vec<_> = body["id_schema"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let known = ["EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256"];
        if schema.is_empty() || schema.iter().any(|kind| !known.contains(kind)) {
            return wrong("id_schema is not known");
        }
        let Some(people) = body["batch_data"].as_array().filter(|people| matches!(people.len(), 1..=MOST)) else {
            return wrong("batch_data has no people, or too many");
        };
        let mut changes = Vec::new();
        for person in people {
            let Some(ids) = person.as_array().filter(|ids| ids.len() == schema.len()) else {
                return wrong("batch_data does not fit id_schema");
            };
            for (id, kind) in ids.iter().zip(&schema) {
                let Some(text) = id["id"].as_str().filter(|text| is_digest(text)) else {
                    return wrong("id is no hash");
                };
                let audiences: Vec<_> = id["audience_ids"].as_array().into_iter().flatten().collect();
                if audiences.is_empty() {
                    return wrong("audience_ids is missing");
                }
                for audience in audiences {
                    let Some(name) = audience.as_str().filter(|name| self.audiences.contains_key(*name)) else {
                        return wrong("audience does not exist");
                    };
                    changes.push((name.to_owned(), format!("{kind} {text}")));
                }
            }
        }
        for (audience, member) in changes {
            let members = self.audiences.entry(audience).or_default();
            if adds {
                members.insert(member);
            } else {
                members.remove(&member);
            }
        }
        Ok(())
    }
}

fn limit() -> Window {
    Window::new(10, Duration::from_secs(1))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Vendor for TikTokAds {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let query = |wanted: &str| {
            request.query.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
        };
        if !request.header("access-token").is_some_and(|token| token.starts_with("tt_")) {
            return self.say("(token)", 40105, "Access token is incorrect or has been revoked.", &json!({}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", MAPPING) => self.mapping(request),
            ("GET", ADVERTISER) => match serde_json::from_str::<Vec<String>>(query("advertiser_ids")) {
                Ok(ids) if ids == [OWN] => {
                    let list = json!([{"advertiser_id": OWN, "name": "sandbox"}]);
                    self.say(ADVERTISER, 0, "OK", &json!({"list": list}))
                }
                Ok(_) => self.say(ADVERTISER, 40001, "No permission to operate advertiser", &json!({})),
                Err(_) => self.say(ADVERTISER, 40002, "advertiser_ids: Not a valid list.", &json!({})),
            },
            ("GET", AUDIENCE) => {
                let audience = |(id, members): (&String, &BTreeSet<String>)| json!({"audience_details": {"audience_id": id, "cover_num": members.len(), "is_valid": true}});
                let list: Vec<_> = self.audiences.iter().map(audience).collect();
                self.say(AUDIENCE, 0, "OK", &json!({"list": list}))
            }
            _ => Response::json("(unknown)", 404, &json!({"message": "404 page not found"})),
        }
    }

    fn seed(&mut self, seed: &Value) {
        for (id, members) in seed["audiences"].as_object().into_iter().flatten() {
            let members = members.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            self.audiences.entry(id.clone()).or_default().extend(members);
        }
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(limit);
    }
}
