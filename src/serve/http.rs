//! Health, metrics and pages over HTTP. Everything is read-only.

use super::{
    access::Access,
    board::{Board, State},
    clock::Clock,
    pages::{self, Facts, Language, Page},
};
use crate::{
    output::metrics::{self, Family, Kind},
    standing::Snapshot,
    store,
};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// Whoever connects has so long to say what he wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// No connection is served longer.
const LONGEST: Duration = Duration::from_secs(60);

/// So many connections at a time; others wait. Enough that whoever opens some and says nothing keeps no probe waiting.
const CONNECTIONS: usize = 512;

/// When the server ends, open answers get so long.
const FAREWELL: Duration = Duration::from_secs(2);

/// The store is not asked again sooner, however many ask.
const FRESH: Duration = Duration::from_secs(3);

/// Nor is it waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Server {
    pub board: Arc<Board>,
    pub clock: Arc<dyn Clock>,
    pub access: Access,
    pub snapshots: Snapshots,
}

/// The store's part, asked for at most every few seconds.
#[derive(Default)]
pub struct Snapshots(Mutex<Option<(Instant, Known)>>);

/// What the store told, or why it did not.
type Known = Result<Arc<Snapshot>, String>;

type Answer = Response<Full<Bytes>>;

impl Snapshots {
    /// # Errors
    /// The store cannot be read, in words.
    async fn get(&self, state: &State) -> Known {
        let mut known = self.0.lock().await;
        if let Some((at, snapshot)) = known.as_ref()
            && at.elapsed() < FRESH
        {
            return snapshot.clone();
        }
        let found = match tokio::time::timeout(PATIENCE, Snapshot::of(&state.job.settings.store)).await {
            Ok(Ok(snapshot)) => Ok(Arc::new(snapshot)),
            Ok(Err(store::Error::Absent(_))) => Ok(Arc::new(Snapshot::default())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the store does not answer in time".to_owned()),
        };
        if let Err(reason) = &found {
            tracing::warn!(reason, "metrics and pages have nothing to show");
        }
        *known = Some((Instant::now(), found.clone()));
        found
    }
}

impl Server {
    /// Answers until it is told to stop.
    pub async fn run(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = async {
                    let place = places.clone().acquire_owned().await;
                    (place, listener.accept().await)
                } => accepted,
            };
            // without a place, or for a connection that ended before it was accepted, there is nothing to do
            let (Ok(place), Ok((connection, _))) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let server = self.clone();
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(connection), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // errors here are clients that went away or break the protocol
                let _ = tokio::time::timeout(LONGEST, connection).await;
                drop(place);
            });
        }
        let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    }

    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        let mut answer = self.respond(request).await;
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    async fn respond(&self, request: &Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        if self.access.is_for_another_host(request.uri(), request.headers()) {
            return plain(StatusCode::MISDIRECTED_REQUEST, "this is no proxy, and not the host that was asked for\n");
        }
        let state = self.board.read();
        match request.uri().path() {
            "/healthz" => return plain(StatusCode::OK, "alive\n"),
            "/readyz" => return self.ready(&state).await,
            _ => {}
        }
        let accept = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = Language::choose(request.uri().query(), accept);
        if let Err(refusal) = self.access.check(request.headers()) {
            return refusal.answer(language);
        }
        match (request.uri().path(), Page::at(request.uri().path())) {
            ("/metrics", _) => self.metrics(&state).await,
            (_, Some(page)) => self.page(page, &state, language).await,
            (_, None) => html(StatusCode::NOT_FOUND, pages::notice(language, language.words().not_found, "")),
        }
    }

    async fn ready(&self, state: &State) -> Answer {
        match self.snapshots.get(state).await {
            _ if state.draining => plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            Ok(_) => plain(StatusCode::OK, "ready\n"),
            // why is in the log; whoever asks has shown no token
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n"),
        }
    }

    async fn metrics(&self, state: &State) -> Answer {
        match self.snapshots.get(state).await {
            Ok(snapshot) => {
                let mut families = metrics::families(&state.job, &snapshot, self.clock.now());
                families.extend(own_families(state));
                let mut answer = plain(StatusCode::OK, metrics::prometheus(&families));
                answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
                answer
            }
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    }

    async fn page(&self, page: Page, state: &State, language: Language) -> Answer {
        let snapshot = self.snapshots.get(state).await.ok();
        let facts = Facts { state, snapshot: snapshot.as_deref(), now: self.clock.now(), language };
        html(StatusCode::OK, page.render(&facts))
    }
}

/// What only a server knows.
fn own_families(state: &State) -> Vec<Family> {
    let mut next = Family::new(
        "sunset_rule_next_run_timestamp_seconds",
        Kind::Gauge,
        "When the rule comes next by its schedule, as seconds since 1970.",
    );
    for (rule, (_, at)) in &state.next {
        next = next.with_some([("rule", rule)], at.map(Into::into));
    }
    let mut skipped = Family::new(
        "sunset_rule_skipped_runs_total",
        Kind::Counter,
        "How often the rule did not begin although its time had come, since this server began: its run before was still \
         running, the time was missed for too long, or it was late and its run window closed.",
    );
    for ((rule, why), times) in state.skipped.iter().filter(|((rule, _), _)| state.next.contains_key(rule)) {
        skipped = skipped.with([("rule", rule), ("result", why.word())], (*times).into());
    }
    let read = Family::new(
        "sunset_config_last_reload_successful",
        Kind::Gauge,
        "Whether the rules and settings in force are those of the files: 0 when changed files cannot be used.",
    )
    .with([], u64::from(state.fault.is_none()).into());
    let running = Family::new("sunset_runs_in_progress", Kind::Gauge, "Runs that are going.")
        .with([], (state.running.len() as u64).into());
    vec![next, skipped, read, running]
}

pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text.into())
}

pub(super) fn html(status: StatusCode, text: Result<String, askama::Error>) -> Answer {
    match text {
        Ok(text) => {
            let mut answer = with_type(status, "text/html; charset=utf-8", text.into());
            let headers = answer.headers_mut();
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
            if let Ok(policy) = HeaderValue::from_str(&pages::CONTENT_SECURITY_POLICY) {
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            }
            answer
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be made\n")
        }
    }
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
