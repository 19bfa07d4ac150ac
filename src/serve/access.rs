//! Who may read metrics and pages: whoever is on this machine, or shows the token.

use super::{
    http::{html, plain},
    pages::{self, Language},
};
use crate::file;
use base64::Engine as _;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode, Uri,
    body::Bytes,
    header::{self, HeaderValue},
};
use sha2::{Digest, Sha256};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use subtle::ConstantTimeEq as _;

/// How readers are let in.
#[derive(Debug)]
pub enum Access {
    /// The server listens on loopback alone. Nobody is asked for a token, but pages of other sites that make a browser
    /// look here under a name of theirs are sent away.
    Loopback,
    /// Whoever shows the content of this file, which is read anew each time.
    Token(PathBuf),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoToken,
    WrongHost,
    /// The file with the token cannot be read.
    Unreadable,
}

impl Access {
    /// How to let readers in who reach this address.
    ///
    /// # Errors
    /// Other machines could read without a token, or the token's file cannot be used, in words.
    pub fn choose(address: SocketAddr, token: Option<PathBuf>) -> Result<Self, String> {
        match token {
            Some(path) => match read(file::read_text(&path, file::LONGEST_SECRET)) {
                Ok(_) => Ok(Self::Token(path)),
                Err(reason) => Err(format!("the token in {} cannot be used: {reason}", path.display())),
            },
            None if address.ip().is_loopback() => Ok(Self::Loopback),
            None => Err(format!(
                "--listen {address} can be reached from other machines, which needs a token: write one into a file \
                 (openssl rand -hex 32) and name it with --token-file"
            )),
        }
    }

    /// The request names another host than this one, as one asks a proxy.
    pub fn is_for_another_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(authority) = uri.authority() else { return false };
        match self {
            Self::Loopback => !is_here(authority.host()) || authority.as_str().contains('@'),
            // Nobody knows by what names others reach this machine; the two of the request must not differ.
            Self::Token(_) => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                !authority.as_str().eq_ignore_ascii_case(host)
            }
        }
    }

    /// # Errors
    /// The reader is not let in.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self {
            Self::Loopback => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                if is_here(host) { Ok(()) } else { Err(Refusal::WrongHost) }
            }
            Self::Token(path) => {
                let token = read(file::read_text(path, file::LONGEST_SECRET)).map_err(|reason| {
                    tracing::error!(reason, file = %path.display(), "the token cannot be read");
                    Refusal::Unreadable
                })?;
                let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(shown);
                // digests are of one length, so that the time tells nothing of the token's
                let digest = |text: &str| Sha256::digest(text);
                let fits = shown.is_some_and(|shown| bool::from(digest(&shown).ct_eq(&digest(&token))));
                if fits { Ok(()) } else { Err(Refusal::NoToken) }
            }
        }
    }
}

/// The token without what editors put behind it.
fn read(text: io::Result<String>) -> Result<String, String> {
    let text = text.map_err(|error| error.to_string())?;
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        token => Ok(token.to_owned()),
    }
}

/// The token that somebody shows: as a bearer token, or as the password that a browser asks for.
fn shown(authorization: &str) -> Option<String> {
    let (scheme, value) = authorization.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let text = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
            String::from_utf8(text).ok()?.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// A `Host` header that names this machine's loopback.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Refusal {
    pub fn answer(self, language: Language) -> Response<Full<Bytes>> {
        let words = language.words();
        match self {
            Self::NoToken => {
                let page = pages::notice(language, words.unauthorized, words.unauthorized_hint);
                let mut answer = html(StatusCode::UNAUTHORIZED, page);
                for challenge in ["Bearer realm=\"sunset\"", "Basic realm=\"sunset\", charset=\"UTF-8\""] {
                    answer.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
                answer
            }
            Self::WrongHost => html(StatusCode::MISDIRECTED_REQUEST, pages::notice(language, words.wrong_host, "")),
            Self::Unreadable => plain(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be read\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_token() {
        let choose = |address: &str| Access::choose(address.parse().unwrap(), None);
        assert!(matches!(choose("127.0.0.1:9464"), Ok(Access::Loopback)));
        assert!(matches!(choose("[::1]:9464"), Ok(Access::Loopback)));
        for open in ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"] {
            assert!(choose(open).unwrap_err().contains("--token-file"), "{open}");
        }
    }

    #[test]
    fn an_empty_token_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        std::fs::write(&path, " \n").unwrap();
        assert!(Access::choose("0.0.0.0:1".parse().unwrap(), Some(path)).unwrap_err().contains("it is empty"));
        let nowhere = Access::choose("127.0.0.1:1".parse().unwrap(), Some("/nowhere".into()));
        assert!(nowhere.unwrap_err().contains("/nowhere"));
    }

    #[test]
    fn a_request_for_another_host_is_none_of_ours() {
        let host = |host: &str| HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        let loopback = |uri: &str| Access::Loopback.is_for_another_host(&uri.parse().unwrap(), &host("127.0.0.1:9464"));
        for uri in
            ["/", "/metrics?a=http://evil.example/", "http://127.0.0.1:9464/", "http://localhost/x", "http://[::1]:1/"]
        {
            assert!(!loopback(uri), "{uri}");
        }
        for uri in [
            "http://evil.example/",
            "http://evil.example:9464/metrics",
            "http://localhost@evil.example/",
            "http://a@localhost/",
        ] {
            assert!(loopback(uri), "{uri}");
        }
        let token = Access::Token("/nowhere".into());
        let other = |uri: &str| token.is_for_another_host(&uri.parse().unwrap(), &host("sunset.example:9464"));
        assert!(!other("/") && !other("http://Sunset.example:9464/metrics"));
        assert!(
            other("http://evil.example/") && other("http://sunset.example/") && other("http://a@sunset.example:9464/")
        );
    }

    #[test]
    fn the_token_lets_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret-token\n").unwrap();
        let access = Access::choose("0.0.0.0:1".parse().unwrap(), Some(file.path().to_owned())).unwrap();
        let check = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            access.check(&headers)
        };
        let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        assert_eq!(check(Some("Bearer s3cret-token")), Ok(()));
        assert_eq!(check(Some("bearer s3cret-token")), Ok(()));
        assert_eq!(check(Some(&basic("anybody:s3cret-token"))), Ok(()));
        for wrong in
            ["Bearer s3cret-toke", "Bearer s3cret-token1", "Bearer", "Bearer ", "s3cret-token", "Digest s3cret-token"]
        {
            assert_eq!(check(Some(wrong)), Err(Refusal::NoToken), "{wrong}");
        }
        assert_eq!(check(Some(&basic("s3cret-token:"))), Err(Refusal::NoToken));
        assert_eq!(check(None), Err(Refusal::NoToken));
        // a token that was changed counts at once
        std::fs::write(file.path(), "another").unwrap();
        assert_eq!(check(Some("Bearer s3cret-token")), Err(Refusal::NoToken));
        assert_eq!(check(Some("Bearer another")), Ok(()));
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(check(Some("Bearer another")), Err(Refusal::Unreadable));
    }

    #[test]
    fn other_sites_cannot_look_in_through_a_browser() {
        for (host, here) in [
            ("127.0.0.1:9464", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("[::1]:9464", true),
            ("evil.example:9464", false),
            ("127.0.0.1.evil.example", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
            let expected = if here { Ok(()) } else { Err(Refusal::WrongHost) };
            assert_eq!(Access::Loopback.check(&headers), expected, "{host}");
        }
    }
}
