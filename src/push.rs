//! Hands metrics to whoever collects them: a text file, a Pushgateway, an OTLP endpoint.
//!
//! A run of minutes is gone before anybody could scrape it, so it says at its end how the job stands. Whatever fails
//! here is a warning: rows are gone or not, whether or not somebody hears of it. What was missed comes with the next
//! run, since the sums are kept in the store.

use crate::{
    http::{client, words},
    job::Job,
    output::metrics::{self, Family},
    recipients::client::segment,
    standing::Snapshot,
};
use jiff::Timestamp;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Nobody waits longer for a collector, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who gets the metrics.
#[derive(Default)]
pub struct Targets {
    /// For node_exporter's textfile collector: its name should end in `.prom`.
    pub file: Option<PathBuf>,
    /// A Pushgateway's base URL.
    pub pushgateway: Option<String>,
    pub otlp: Option<Otlp>,
}

/// An OTLP endpoint that takes metrics over HTTP.
pub struct Otlp {
    url: String,
    /// They may hold keys.
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// Attributes of the resource, beside the program's own.
    resource: BTreeMap<String, String>,
}

impl Otlp {
    /// What the variables of the [specification] say; `None` where they name no endpoint.
    ///
    /// [specification]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    ///
    /// # Errors
    /// A variable cannot be read, in words.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let said = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is = |name: &str, wanted: &str| said(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_METRICS_EXPORTER", "none") {
            return Ok(None);
        }
        let for_metrics = |name: &str| {
            said(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}")).or_else(|| said(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let url = match (said("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), said("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some(url), _) => url,
            (None, Some(base)) => format!("{}/v1/metrics", base.trim_end_matches('/')),
            (None, None) => return Ok(None),
        };
        if for_metrics("PROTOCOL").is_some_and(|protocol| protocol.eq_ignore_ascii_case("grpc")) {
            return Err("OTEL_EXPORTER_OTLP_PROTOCOL is grpc; sunset sends http/json, mostly to port 4318".to_owned());
        }
        let timeout = match for_metrics("TIMEOUT") {
            None => TIMEOUT,
            Some(text) => {
                let milliseconds =
                    text.trim().parse().map_err(|_| "OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds");
                Duration::from_millis(milliseconds?)
            }
        };
        let headers = for_metrics("HEADERS").map(|text| pairs(&text, "OTEL_EXPORTER_OTLP_HEADERS")).transpose()?;
        let resource =
            said("OTEL_RESOURCE_ATTRIBUTES").map(|text| pairs(&text, "OTEL_RESOURCE_ATTRIBUTES")).transpose()?;
        let mut resource: BTreeMap<_, _> = resource.into_iter().flatten().collect();
        resource.extend(said("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name)));
        Ok(Some(Self { url, headers: headers.unwrap_or_default(), timeout, resource }))
    }
}

/// `key=value,key=value`, both percent-encoded. The text may hold secrets, so no error quotes it.
fn pairs(text: &str, variable: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((decoded(key.trim())?, decoded(value.trim())?))
    };
    let pairs = text.split(',').filter(|part| !part.trim().is_empty()).map(pair);
    pairs.collect::<Option<_>>().ok_or_else(|| format!("{variable} cannot be read: write `name=value,name=value`"))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = tail;
            }
            (byte, tail) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

impl Targets {
    /// Nobody wants to know.
    pub fn is_empty(&self) -> bool {
        self.file.is_none() && self.pushgateway.is_none() && self.otlp.is_none()
    }

    /// Tells how the job stands by its store. What fails is logged as a warning.
    pub async fn push_standing(&self, job: &Job, now: Timestamp) {
        if self.is_empty() {
            return;
        }
        match Snapshot::of(&job.settings.store).await {
            Ok(snapshot) => self.push(job, &snapshot, now).await,
            Err(error) => tracing::warn!(reason = %error, "no metrics: the store cannot be read"),
        }
    }

    /// Tells how the job stands. What fails is logged as a warning.
    pub async fn push(&self, job: &Job, snapshot: &Snapshot, now: Timestamp) {
        let families = metrics::families(job, snapshot, now);
        if let Some(path) = &self.file
            && let Err(error) = write(path, &metrics::prometheus(&families))
        {
            tracing::warn!(reason = %error, file = %path.display(), "the metrics file cannot be written");
        }
        if let Some(base) = &self.pushgateway
            && let Err(reason) = put(base, &job.settings.name, &families).await
        {
            tracing::warn!(reason, "the Pushgateway did not take the metrics");
        }
        if let Some(otlp) = &self.otlp
            && let Err(reason) = otlp.post(job, snapshot, &families, now).await
        {
            tracing::warn!(reason, "the OTLP endpoint did not take the metrics");
        }
    }
}

/// In one step: nobody reads half a file.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    // the collector reads whatever ends in `.prom`
    let beside = path.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Replaces everything that the gateway has of the job.
async fn put(base: &str, job: &str, families: &[Family]) -> Result<(), String> {
    let url = format!("{}/metrics/job/{}", base.trim_end_matches('/'), segment(job));
    let url = Url::parse(&url).map_err(|_| "its URL cannot be read".to_owned())?;
    let has_secret = url.password().is_some();
    let client = client(&url, has_secret, TIMEOUT)?;
    let request = client.put(url).header(CONTENT_TYPE, metrics::CONTENT_TYPE).body(metrics::prometheus(families));
    accepted(request.send().await).await.map(drop)
}

impl Otlp {
    async fn post(&self, job: &Job, snapshot: &Snapshot, families: &[Family], now: Timestamp) -> Result<(), String> {
        let url = Url::parse(&self.url).map_err(|_| "its URL cannot be read".to_owned())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| "a header's name cannot be sent")?;
            let mut value = HeaderValue::try_from(value).map_err(|_| format!("the header {name} cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let own = [
            ("service.name", "sunset"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            // a run goes on with the sums of the one before, so it is the same instance
            ("service.instance.id", job.settings.name.as_str()),
        ];
        let mut resource: BTreeMap<_, _> =
            own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        resource.extend(self.resource.clone());
        let resource: Vec<_> = resource.into_iter().collect();
        let since = snapshot.standing.since.unwrap_or(now);
        let body = metrics::otlp(families, &resource, since, now);
        let client = client(&url, !headers.is_empty(), self.timeout)?;
        let reply = accepted(client.post(url).headers(headers).json(&body).send().await).await?;
        // https://opentelemetry.io/docs/specs/otlp/#partial-success-1
        let rejected = serde_json::from_str::<serde_json::Value>(&reply).unwrap_or_default();
        match &rejected["partialSuccess"]["rejectedDataPoints"] {
            serde_json::Value::String(number) if number != "0" => Err(format!("it rejected {number} data points")),
            serde_json::Value::Number(number) if number.as_u64() != Some(0) => {
                Err(format!("it rejected {number} data points"))
            }
            _ => Ok(()),
        }
    }
}

async fn accepted(reply: reqwest::Result<reqwest::Response>) -> Result<String, String> {
    let reply = reply.map_err(|error| words(&error.without_url()))?;
    let status = reply.status();
    match status.is_success() {
        true => reply.text().await.map_err(|error| words(&error.without_url())),
        false => Err(format!("it answered with HTTP status {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn otlp(variables: &[(&str, &str)]) -> Result<Option<Otlp>, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Otlp::from_environment(&find)
    }

    #[test]
    fn reads_the_variables_of_the_specification() {
        assert!(otlp(&[]).unwrap().is_none());
        assert!(otlp(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let found = otlp(&[base]).unwrap().unwrap();
        assert_eq!((found.url.as_str(), found.timeout), ("http://collector:4318/v1/metrics", TIMEOUT));
        let found = otlp(&[
            base,
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://other/x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "api-key=s%20e=cret, b=2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,deployment.environment=prod"),
            ("OTEL_SERVICE_NAME", "erasure"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.url, "https://other/x");
        let headers: Vec<_> = found.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("api-key", "s e=cret"), ("b", "2")]);
        assert_eq!(found.timeout, Duration::from_millis(500));
        assert_eq!(found.resource["service.name"], "erasure");
        assert_eq!(found.resource["deployment.environment"], "prod");
        assert!(otlp(&[base, ("OTEL_SDK_DISABLED", "True")]).unwrap().is_none());
        assert!(otlp(&[base, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_none());
    }

    #[test]
    fn says_which_variable_is_wrong_and_quotes_no_secret() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let wrong = |variable| otlp(&[base, variable]).err().unwrap();
        assert!(wrong(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")).contains("http/json"));
        assert!(wrong(("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")).contains("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let headers = wrong(("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"));
        assert!(headers.contains("OTEL_EXPORTER_OTLP_HEADERS") && !headers.contains("hunter2"), "{headers}");
    }
}
