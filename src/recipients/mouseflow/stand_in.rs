//! A stand-in of Mouseflow: recordings of websites, their filters, variables, deletion.
//!
//! After mousepy 0.0.9 and <https://api-docs.mouseflow.com>; the deletion of a recording is nowhere documented. Any user and key
//! but those that contain `wrong` are known. Seed: `{"recordings": {"site": {"rec-1": {"visitor": "v1", "name": "Taro", "variables":
//! {"member": "7"}}}}, "deaf": true, "sticky": true, "undeletable": true}`. When `deaf`, filters are ignored; when `sticky`, what is
//! deleted stays listed; when `undeletable`, the call for deletion does not exist.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub static STAND_IN: StandIn = StandIn {
    name: "mouseflow",
    make: || Box::new(Mouseflow::default()),
    settings: "  mouseflow:\n    url: {url}\n    user: \"${MOUSEFLOW_USER}\"  # anything without \"wrong\" in it\n    api_key: \
               \"${MOUSEFLOW_KEY}\"\n    datacenter: eu\n    websites: [site]\n    variable: member\n",
};

/// A list's length where nothing is said.
const USUAL: usize = 100;

#[derive(Default)]
struct Mouseflow {
    websites: BTreeMap<String, BTreeMap<String, Recording>>,
    deaf: bool,
    sticky: bool,
    undeletable: bool,
}

#[derive(Default)]
struct Recording {
    visitor: String,
    name: String,
    variables: BTreeMap<String, String>,
}

impl Vendor for Mouseflow {
    fn answer(&mut self, request: &Request) -> Response {
        let known = request.basic().is_some_and(|(user, key)| {
            !user.is_empty() && !key.is_empty() && !user.contains("wrong") && !key.contains("wrong")
        });
        if !known {
            return Response::empty("(key)", 401).header("www-authenticate", "Basic");
        }
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            ("GET", ["websites"]) => {
                let all: Vec<_> =
                    self.websites.keys().map(|id| json!({"id": id, "name": id, "status": "Recording"})).collect();
                Response::json("/websites", 200, &json!(all))
            }
            ("GET", ["websites", website, "recordings"]) => self.list(request, website),
            (method, ["websites", website, "recordings", id, rest @ ..]) => self.recording(method, website, id, rest),
            _ => Response::empty("(unknown)", 404),
        }
    }

    fn seed(&mut self, seed: &Value) {
        for (website, recordings) in seed["recordings"].as_object().into_iter().flatten() {
            let site = self.websites.entry(website.clone()).or_default();
            for (id, recording) in recordings.as_object().into_iter().flatten() {
                let text = |key: &str| recording[key].as_str().unwrap_or_default().to_owned();
                let variables = recording["variables"].as_object().into_iter().flatten();
                let variables =
                    variables.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
                site.insert(id.clone(), Recording { visitor: text("visitor"), name: text("name"), variables });
            }
        }
        for (key, flag) in
            [("deaf", &mut self.deaf), ("sticky", &mut self.sticky), ("undeletable", &mut self.undeletable)]
        {
            if let Some(on) = seed[key].as_bool() {
                *flag = on;
            }
        }
    }

    /// None is documented.
    fn limits(&mut self, _: bool) {}
}

impl Mouseflow {
    fn list(&self, request: &Request, website: &str) -> Response {
        let route = "/websites/{website}/recordings";
        let Some(recordings) = self.websites.get(website) else { return Response::empty(route, 404) };
        let get = |wanted: &str| request.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let known = ["search", "vars", "tags", "fromDate", "toDate", "country", "star", "limit"];
        if request.query.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return Response::empty(route, 400);
        }
        let Ok(limit) = get("limit").map_or(Ok(USUAL), str::parse::<usize>) else { return Response::empty(route, 400) };
        let variables: Vec<_> = get("vars").into_iter().flat_map(|vars| vars.split(',')).collect();
        let fits = |recording: &Recording| {
            let search = get("search").unwrap_or_default().to_lowercase();
            let found =
                recording.visitor.to_lowercase().contains(&search) || recording.name.to_lowercase().contains(&search);
            let all = variables.iter().all(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                recording.variables.get(name).is_some_and(|there| there == value)
            });
            self.deaf || (found && all)
        };
        let all: Vec<_> = recordings.iter().filter(|(_, recording)| fits(recording)).collect();
        let shown = all.iter().take(limit).map(|(id, recording)| {
            json!({
                "id": id, "token": "t", "created": "2026-11-22T02:30:00Z", "visitorId": recording.visitor,
                "visitorName": recording.name, "country": "jp",
            })
        });
        Response::json(route, 200, &json!({"count": all.len(), "recordings": shown.collect::<Vec<_>>()}))
    }

    fn recording(&mut self, method: &str, website: &str, id: &str, rest: &[&str]) -> Response {
        let one = "/websites/{website}/recordings/{recording}";
        let recordings = self.websites.get_mut(website);
        match (method, rest, recordings) {
            ("DELETE", [], _) if self.undeletable => Response::empty(one, 404),
            ("DELETE", [], Some(recordings)) if recordings.contains_key(id) => {
                if !self.sticky {
                    recordings.remove(id);
                }
                Response::empty(one, 204)
            }
            ("GET", [], Some(recordings)) if recordings.contains_key(id) => {
                let recording = &recordings[id];
                let variables = recording.variables.iter().map(|(name, value)| format!("{name}={value}"));
                let variables: Vec<_> = variables.collect();
                let body = json!({"id": id, "visitorId": recording.visitor, "visitorName": recording.name, "variables": variables});
                Response::json(one, 200, &body)
            }
            _ => Response::empty(one, 404),
        }
    }
}
