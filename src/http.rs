//! The HTTP client for whatever is no recipient: collectors of metrics, witnesses, object storage.

use reqwest::{RequestBuilder, StatusCode, Url};
use std::net::IpAddr;
use std::{error::Error as _, time::Duration};

/// A client that follows no redirects. `has_secret` says that what is sent must not travel in the clear.
///
/// # Errors
/// The URL is neither `http` nor `https`, or is `http` and a secret would go to another machine; in words.
pub fn client(url: &Url, has_secret: bool, timeout: Duration) -> Result<reqwest::Client, String> {
    match url.scheme() {
        "https" => {}
        "http" if !has_secret || is_loopback(url) => {}
        "http" => return Err("its URL is `http`: keys and passwords travel over `https` alone".to_owned()),
        _ => return Err("its URL is neither `http` nor `https`".to_owned()),
    }
    // Fails where it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("sunset/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout);
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| words(&error.without_url()))
}

/// Sends a request and reads its answer, of at most so many bytes.
///
/// # Errors
/// Nobody answered, or with more than that; in words without the URL.
pub async fn answer(request: RequestBuilder, most: usize) -> Result<(StatusCode, String), String> {
    let told = |error: reqwest::Error| words(&error.without_url());
    let mut reply = request.send().await.map_err(told)?;
    let status = reply.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(told)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Err("its answer is too long".to_owned());
        }
    }
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The error with its causes. Its URL, which may hold a password, has to be taken out before.
pub fn words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}

/// The URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_over_tls_alone() {
        let client = |url: &str, secret| client(&Url::parse(url).unwrap(), secret, Duration::from_secs(1)).map(drop);
        client("http://pushgateway:9091", false).unwrap();
        client("http://127.0.0.1:9091", true).unwrap();
        client("https://pushgateway:9091", true).unwrap();
        client("http://pushgateway:9091", true).unwrap_err();
        client("ftp://pushgateway", false).unwrap_err();
    }
}
