//! Stand-ins of the recipients' APIs on loopback, for rehearsals, the demo and the tests.
//!
//! Each [stand-in](crate::recipients::stand_in) is in the folder of its connector. All answer on one port, each under
//! its name: `http://127.0.0.1:8420/stripe`.
//!
//! `/_sandbox/` controls it: `GET calls` counts what was asked, `POST faults` lets the next calls fail ([`Fault`]),
//! `DELETE faults` forgets that, `GET mail` shows the letters that the [mail server](smtp) has taken (it listens on the
//! next port), `POST seed/VENDOR` puts objects into a vendor's state, `POST reset` begins anew.

pub mod script;
pub mod smtp;

use crate::recipients::{
    KINDS,
    stand_in::{Request, Response, StandIn, Vendor, pairs},
};
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// All stand-ins, by name.
fn stand_ins() -> Vec<&'static StandIn> {
    let mut all: Vec<_> = KINDS.iter().filter_map(|kind| kind.stand_in).collect();
    all.sort_by_key(|stand_in| stand_in.name);
    all
}

/// What goes wrong with the next calls that fit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    pub vendor: String,
    /// All by default.
    pub method: Option<String>,
    /// What the path below the vendor's name begins with; all by default.
    pub path: String,
    /// So many calls; one by default.
    pub times: Option<u32>,
    /// Instead of the vendor's answer. Without it, the vendor answers (after the delay).
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub delay_milliseconds: u64,
    /// `before`: the connection breaks without an answer. `half`: in the middle of the body. `after`: the vendor does
    /// what was asked, and the connection breaks before its answer.
    pub break_off: Option<String>,
}

#[derive(Default)]
struct State {
    vendors: BTreeMap<&'static str, Box<dyn Vendor>>,
    faults: Vec<Fault>,
    /// Vendor to endpoint to number of calls.
    calls: BTreeMap<&'static str, BTreeMap<String, u64>>,
    arrivals: BTreeMap<&'static str, Vec<Instant>>,
    /// What vendors were asked and answered with success, once somebody wants to know.
    heard: Option<BTreeMap<&'static str, Vec<Request>>>,
    limits: bool,
    mail: Vec<smtp::Mail>,
}

impl State {
    fn new(limits: bool) -> Self {
        let make = |entry: &'static StandIn| {
            let mut vendor = (entry.make)();
            vendor.limits(limits);
            (entry.name, vendor)
        };
        Self { vendors: stand_ins().into_iter().map(make).collect(), limits, ..Self::default() }
    }

    fn fault(&mut self, vendor: &str, request: &Request) -> Option<Fault> {
        let fits = |fault: &Fault| {
            fault.vendor == vendor
                && request.path.starts_with(&fault.path)
                && fault.method.as_ref().is_none_or(|method| *method == request.method)
        };
        let at = self.faults.iter().position(fits)?;
        let left = self.faults[at].times.unwrap_or(1);
        if left <= 1 {
            return Some(self.faults.remove(at));
        }
        self.faults[at].times = Some(left - 1);
        Some(self.faults[at].clone())
    }
}

/// A server that runs; it ends when this is dropped.
pub struct Sandbox {
    address: SocketAddr,
    mail: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
    mail_task: JoinHandle<()>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
        self.mail_task.abort();
    }
}

impl Sandbox {
    /// Listens on loopback, for mail on the next port; port 0 takes any two.
    ///
    /// # Errors
    /// A port is taken.
    pub async fn start(port: u16, limits: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let letters =
            TcpListener::bind((Ipv4Addr::LOCALHOST, if port == 0 { 0 } else { port.wrapping_add(1) })).await?;
        let mail = letters.local_addr()?;
        let state = Arc::new(Mutex::new(State::new(limits)));
        let shared = state.clone();
        let mail_task = tokio::spawn(async move {
            loop {
                let Ok((connection, _)) = letters.accept().await else { continue };
                // Errors here are broken rules, and a client that breaks them is left alone.
                tokio::spawn(smtp::serve(connection, shared.clone()));
            }
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                // A connection that ended before it was accepted concerns nobody.
                let Ok((connection, _)) = listener.accept().await else { continue };
                // Small answers would wait for each other otherwise.
                let _ = connection.set_nodelay(true);
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| serve(request, state.clone()));
                    // Errors here are the faults that were asked for, or a client that went away.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Ok(Self { address, mail, state, task, mail_task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of a vendor.
    pub fn url(&self, vendor: &str) -> String {
        format!("http://{}/{vendor}", self.address)
    }

    /// Where the mail server listens.
    pub fn mail_address(&self) -> SocketAddr {
        self.mail
    }

    /// The letters that were taken.
    pub fn mail(&self) -> Vec<smtp::Mail> {
        self.state().mail.clone()
    }

    /// The part of `sunset.yaml` that uses all stand-ins.
    pub fn settings(&self) -> String {
        let entry = |entry: &'static StandIn| entry.settings.replace("{url}", &self.url(entry.name));
        let notice = smtp::SETTINGS.replace("{port}", &self.mail.port().to_string());
        format!("recipients:\n{}{notice}", stand_ins().into_iter().map(entry).collect::<String>())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Forgets the faults that are left.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    pub fn seed(&self, vendor: &str, seed: &Value) {
        if let Some(vendor) = self.state().vendors.get_mut(vendor) {
            vendor.seed(seed);
        }
    }

    /// How often an endpoint was asked, faults included.
    pub fn calls(&self, vendor: &str) -> BTreeMap<String, u64> {
        self.state().calls.get(vendor).cloned().unwrap_or_default()
    }

    /// From now on, [`heard`](Self::heard) knows what vendors were asked.
    pub fn listen(&self) {
        self.state().heard.get_or_insert_default();
    }

    /// The requests that a vendor has answered with success (HTTP 200 to 299) since [`listen`](Self::listen).
    pub fn heard(&self, vendor: &str) -> Vec<Request> {
        self.state().heard.as_ref().and_then(|heard| heard.get(vendor)).cloned().unwrap_or_default()
    }

    /// When calls arrived.
    pub fn arrivals(&self, vendor: &str) -> Vec<Instant> {
        self.state().arrivals.get(vendor).cloned().unwrap_or_default()
    }

    /// Serves until the process ends.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

type Reply = hyper::Response<BoxBody<Bytes, io::Error>>;

/// Reads a request completely.
async fn read(request: hyper::Request<Incoming>) -> Result<Request, io::Error> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Ok(Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default()),
        headers: headers.collect(),
        body,
        at,
    })
}

async fn serve(request: hyper::Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Reply, io::Error> {
    let request = read(request).await?;
    let at = request.at;
    let path = request.path.clone();
    let (name, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let request = Request { path: format!("/{rest}"), ..request };
    if name == "_sandbox" {
        return Ok(plain(control(&request, &state)));
    }
    let Some(name) = stand_ins().into_iter().map(|entry| entry.name).find(|known| *known == name) else {
        return Ok(plain(Response::json("", 404, &json!({"error": "no such vendor in this sandbox"}))));
    };
    let fault = {
        let mut state = lock(&state);
        state.arrivals.entry(name).or_default().push(at);
        state.fault(name, &request)
    };
    let fault = fault.unwrap_or_default();
    if fault.delay_milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_milliseconds)).await;
    }
    let response = match (&fault.status, fault.break_off.as_deref()) {
        (None, None | Some("after" | "half")) => {
            let mut state = lock(&state);
            let response = match state.vendors.get_mut(name) {
                Some(vendor) => vendor.answer(&request),
                None => Response::empty("", 500),
            };
            count(&mut state, name, format!("{} {}", request.method, response.route));
            if let Some(heard) = state.heard.as_mut().filter(|_| (200..300).contains(&response.status)) {
                heard.entry(name).or_default().push(request);
            }
            response
        }
        (status, _) => {
            count(&mut lock(&state), name, format!("{} fault", request.method));
            Response { body: fault.body.into_bytes(), ..Response::empty("fault", status.unwrap_or(500)) }
        }
    };
    match fault.break_off.as_deref() {
        Some("half") => Ok(half(&response)),
        Some(_) => Err(io::Error::other("a fault that was asked for")),
        None => {
            let mut reply = plain(response);
            for (name, value) in &fault.headers {
                let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
                reply.headers_mut().insert(name, value.parse().map_err(io::Error::other)?);
            }
            Ok(reply)
        }
    }
}

fn count(state: &mut State, vendor: &'static str, call: String) {
    *state.calls.entry(vendor).or_default().entry(call).or_default() += 1;
}

fn control(request: &Request, state: &Mutex<State>) -> Response {
    let mut state = lock(state);
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let done = Response::empty("", 204);
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/calls") => return Response::json("", 200, &json!(state.calls)),
        ("GET", "/mail") => return Response::json("", 200, &json!(state.mail)),
        ("POST", "/faults") => match serde_json::from_value::<Fault>(body) {
            Ok(fault) => state.faults.push(fault),
            Err(error) => return Response::json("", 400, &json!({"error": error.to_string()})),
        },
        ("DELETE", "/faults") => state.faults.clear(),
        ("POST", "/reset") => *state = State::new(state.limits),
        ("POST", path) => match path.strip_prefix("/seed/").and_then(|name| state.vendors.get_mut(name)) {
            Some(vendor) => vendor.seed(&body),
            None => return Response::empty("", 404),
        },
        _ => return Response::empty("", 404),
    }
    done
}

fn plain(response: Response) -> Reply {
    let mut reply = hyper::Response::new(Full::new(Bytes::from(response.body)).map_err(|never| match never {}).boxed());
    *reply.status_mut() = response.status.try_into().unwrap_or_default();
    for (name, value) in response.headers {
        if let Ok(value) = value.parse() {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

/// Promises more than comes.
fn half(response: &Response) -> Reply {
    let body = Bytes::copy_from_slice(&response.body[..response.body.len() / 2]);
    let parts = [Ok(Frame::data(body)), Err(io::Error::other("a fault that was asked for"))];
    let mut reply = hyper::Response::new(BodyExt::boxed(StreamBody::new(stream::iter(parts))));
    *reply.status_mut() = response.status.try_into().unwrap_or_default();
    reply.headers_mut().insert("content-length", (response.body.len() + 100).into());
    reply
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
