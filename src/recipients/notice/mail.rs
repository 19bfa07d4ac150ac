//! Notices as e-mail over SMTP.

use super::message::{Mailbox, Message};
use crate::recipients::{Options, retry::Backoff};
use jiff::{Timestamp, tz::TimeZone};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{net::IpAddr, time::Duration};

/// For one attempt, where settings say nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

const TOO_LATE: &str = "the mail server gives no answer in time";

/// When a server may take what it did not take now.
const LATER: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// From the first byte.
    Implicit,
    StartTls,
    /// On loopback alone.
    None,
}

/// How letters leave the house.
pub struct Mail {
    server: String,
    port: u16,
    security: Security,
    user: Option<(String, SecretString)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    reply_to: Option<Mailbox>,
    timeout: Duration,
    backoff: Backoff,
}

/// A letter, not yet addressed.
pub struct Letter {
    pub subject: String,
    pub text: String,
    /// Name, type and bytes.
    pub files: Vec<(String, &'static str, Vec<u8>)>,
    /// The part of the message's id before the `@`.
    pub id: String,
    /// That of the letter that this one follows.
    pub follows: Option<String>,
}

/// A letter did not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Without addresses and without the server's words, which may quote them.
    pub reason: String,
    /// Trying again later may help: then.
    pub again_after: Option<Duration>,
}

impl Mail {
    /// # Errors
    /// An address, the server or the way to it cannot be used.
    pub fn new(options: &Options, timeout: Option<Duration>, backoff: Backoff) -> Result<Self, String> {
        let boxes = |key: &str| -> Result<Vec<Mailbox>, String> {
            let texts = options.texts(key).into_iter();
            texts.map(|text| Mailbox::parse(text).ok_or_else(|| format!("`email.{key}` is no address"))).collect()
        };
        let one = |key: &str| Ok::<_, String>(boxes(key)?.into_iter().next());
        let server = options.text("server").ok_or("there is no `email.server`")?.to_owned();
        let security = match options.text("tls") {
            Some("starttls") => Security::StartTls,
            Some("none") if is_loopback(&server) => Security::None,
            Some("none") => return Err("`email.tls: none` is for loopback alone".to_owned()),
            _ => Security::Implicit,
        };
        let port = match security {
            Security::Implicit => 465,
            Security::StartTls => 587,
            Security::None => 25,
        };
        let to = boxes("to")?;
        if to.is_empty() {
            return Err("there is no `email.to`".to_owned());
        }
        Ok(Self {
            port: options.number("port").and_then(|port| port.try_into().ok()).unwrap_or(port),
            user: options.text("user").map(str::to_owned).zip(options.secret("password")),
            from: one("from")?.ok_or("there is no `email.from`")?,
            to,
            cc: boxes("cc")?,
            reply_to: one("reply_to")?,
            timeout: timeout.unwrap_or(TIMEOUT),
            server,
            security,
            backoff,
        })
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Undelivered> {
        let parameters = || {
            TlsParameters::builder(self.server.clone()).build_rustls().map_err(|_| Undelivered {
                reason: "TLS cannot be used: the system's certificates cannot be read".to_owned(),
                again_after: Some(LATER),
            })
        };
        let tls = match self.security {
            Security::Implicit => Tls::Wrapper(parameters()?),
            Security::StartTls => Tls::Required(parameters()?),
            Security::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port)
            .tls(tls)
            .timeout(Some(self.timeout))
            .hello_name(ClientId::Domain(self.from.address.domain().to_owned()));
        if let Some((user, password)) = &self.user {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }

    fn id(&self, local: &str) -> String {
        format!("<{local}@{}>", self.from.address.domain())
    }

    fn message(&self, letter: &Letter) -> Vec<u8> {
        let follows = letter.follows.as_ref().map(|follows| self.id(follows));
        let message = Message {
            from: &self.from,
            to: &self.to,
            cc: &self.cc,
            reply_to: self.reply_to.as_ref(),
            subject: &letter.subject,
            id: &self.id(&letter.id),
            follows: follows.as_deref(),
            date: &Timestamp::now().to_zoned(TimeZone::UTC),
            text: &letter.text,
            files: &letter.files,
        };
        message.bytes()
    }

    /// Sends the letter, again where that may help, and gives the server's name for it.
    ///
    /// # Errors
    /// It did not go out, or nobody knows whether it did: then the same one may come twice, with the same id.
    pub async fn send(&self, letter: &Letter) -> Result<Option<String>, Undelivered> {
        let message = self.message(letter);
        let to = self.to.iter().chain(&self.cc).map(|mailbox| mailbox.address.clone()).collect();
        let envelope = Envelope::new(Some(self.from.address.clone()), to)
            .map_err(|_| Undelivered { reason: "the letter has no address".to_owned(), again_after: None })?;
        let mut attempt = 1;
        loop {
            match self.in_time(self.transport()?.send_raw(&envelope, &message)).await {
                Ok(response) => return Ok(response.first_line().and_then(queue_id)),
                Err(told) if told.again_after.is_none() || attempt >= self.backoff.attempts => return Err(told),
                Err(_) => {}
            }
            tokio::time::sleep(self.backoff.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Signs in and out again.
    ///
    /// # Errors
    /// The server or the credentials cannot be used.
    pub async fn check(&self) -> Result<(), Undelivered> {
        match self.in_time(self.transport()?.test_connection()).await? {
            true => Ok(()),
            false => {
                Err(Undelivered { reason: "the mail server answers nothing".to_owned(), again_after: Some(LATER) })
            }
        }
    }

    /// The library's own limit is for the connection alone.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Undelivered> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => result.map_err(|error| describe(&error)),
            Err(_) => Err(Undelivered { reason: TOO_LATE.to_owned(), again_after: Some(LATER) }),
        }
    }
}

fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The code alone: the server's words may quote addresses.
fn describe(error: &Error) -> Undelivered {
    let undelivered = |reason: &str, again_after| Undelivered { reason: reason.to_owned(), again_after };
    if let Some(code) = error.status() {
        let code = u16::from(code);
        return match code {
            530 | 534 | 535 | 538 => {
                undelivered(&format!("the mail server refuses the credentials (SMTP {code})"), None)
            }
            500..=599 => undelivered(&format!("the mail server refuses the letter (SMTP {code})"), None),
            _ => undelivered(&format!("the mail server takes the letter later (SMTP {code})"), Some(LATER)),
        };
    }
    if error.is_timeout() {
        return undelivered(TOO_LATE, Some(LATER));
    }
    if error.is_tls() {
        return undelivered(
            "TLS with the mail server failed: its certificate, or its name, is not trusted",
            Some(LATER),
        );
    }
    if error.is_client() {
        return undelivered("the mail server does not offer what is needed to sign in or to send this", None);
    }
    undelivered("no connection to the mail server, or it broke off", Some(LATER))
}

/// The last word of an answer such as `2.0.0 Ok: queued as 4BCD12`, where it can be a name.
fn queue_id(line: &str) -> Option<String> {
    let word = line.split_whitespace().next_back()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (word.len() <= 64 && word.chars().any(|c| c.is_ascii_digit()) && word.chars().all(fits)).then(|| word.to_owned())
}
