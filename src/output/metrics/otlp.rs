//! Metrics as OTLP's JSON encoding.
//!
//! The protocol's own crates measure while a program runs, and begin at 0 each time; these sums go on from run to run.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use super::{Family, Kind, Sample, Value, seconds};
use crate::standing::BOUNDS;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// The body of a POST to `/v1/metrics`: an `ExportMetricsServiceRequest`. `resource` names who speaks, `since` is when
/// the sums began.
pub fn otlp(families: &[Family], resource: &[(String, String)], since: Timestamp, now: Timestamp) -> Json {
    let attribute = |(key, value): (&str, &str)| json!({"key": key, "value": {"stringValue": value}});
    let attributes: Vec<_> = resource.iter().map(|(key, value)| attribute((key, value))).collect();
    let metrics: Vec<_> =
        families.iter().filter(|family| !family.samples.is_empty()).map(|family| metric(family, since, now)).collect();
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes},
        "scopeMetrics": [{"scope": {"name": "sunset", "version": env!("CARGO_PKG_VERSION")}, "metrics": metrics}],
    }]})
}

fn metric(Family { name, help, kind, samples }: &Family, since: Timestamp, now: Timestamp) -> Json {
    let mut metric = json!({"name": name, "description": help});
    if name.ends_with("_seconds") {
        metric["unit"] = "s".into();
    }
    let points: Vec<_> = samples.iter().map(|sample| point(sample, *kind, since, now)).collect();
    match kind {
        Kind::Gauge => metric["gauge"] = json!({"dataPoints": points}),
        Kind::Counter => {
            metric["sum"] = json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true});
        }
        Kind::Histogram => {
            metric["histogram"] = json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE});
        }
    }
    metric
}

/// 64-bit numbers are texts in this encoding.
fn point(sample: &Sample, kind: Kind, since: Timestamp, now: Timestamp) -> Json {
    let labels = sample.labels.iter();
    let attributes: Vec<_> =
        labels.map(|(name, value)| json!({"key": name, "value": {"stringValue": value}})).collect();
    let mut point = json!({"attributes": attributes, "timeUnixNano": now.as_nanosecond().to_string()});
    if kind != Kind::Gauge {
        point["startTimeUnixNano"] = since.as_nanosecond().to_string().into();
    }
    match &sample.value {
        Value::Whole(value) => point["asInt"] = value.to_string().into(),
        Value::Seconds(value) => point["asDouble"] = (*value).into(),
        Value::Durations(durations) => {
            let counts = durations.counts();
            point["count"] = counts.iter().sum::<u64>().to_string().into();
            point["sum"] = durations.total().as_secs_f64().into();
            point["bucketCounts"] = counts.iter().map(ToString::to_string).collect();
            point["explicitBounds"] = BOUNDS.iter().map(|bound| seconds(*bound)).collect();
        }
    }
    point
}
