//! A mail server (RFC 5321, with AUTH PLAIN and LOGIN) that keeps letters and carries none on.
//!
//! It wants a password that begins with `smtp_`, commands in their order, lines that end in CR LF and have at most 998
//! characters, and a message with the headers `From`, `To`, `Date` and `Message-ID`. `GET /_sandbox/mail` shows what it
//! has.
//!
//! [Faults](super::Fault) of the vendor `smtp` have a command as method (`CONNECT` is the greeting, `END` the end of
//! the message): `status` is answered instead, `break_off` ends the connection before or after the command has its
//! effect.

use super::{State, count, lock};
use crate::recipients::stand_in::Request;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

pub const NAME: &str = "smtp";

/// The part of `recipients` in `sunset.yaml`; `{port}` is the mail server's.
pub const SETTINGS: &str = "  notice:  # letters: /_sandbox/mail\n    addressee: Example Collection Inc.\n    sender: Example Shop \
                            Inc., Privacy Office\n    email: {to: privacy@collector.example, from: privacy@shop.example, server: 127.0.0.1, port: \
                            {port}, tls: none, user: sunset, password: \"${SMTP_PASSWORD}\"}  # smtp_ and anything\n";

/// Without CR LF.
const LONGEST_LINE: usize = 998;

const LARGEST: usize = 32 << 20;

/// A letter that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body as they came, with CR LF.
    pub message: String,
}

#[derive(Default)]
struct Session {
    greeted: bool,
    signed_in: bool,
    from: Option<String>,
    to: Vec<String>,
}

/// What to say, and whether to go on.
struct Said(String, bool);

fn say(text: impl Into<String>) -> Said {
    Said(text.into(), true)
}

pub(super) async fn serve(connection: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut stream = BufReader::new(connection);
    let mut session = Session::default();
    let mut said = step(&state, "CONNECT", &mut session, |_| say("220 sandbox.example ESMTP")).await;
    loop {
        let Some(Said(text, on)) = said else { return Ok(()) };
        stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
        if !on {
            return Ok(());
        }
        let Some(line) = line(&mut stream).await? else { return Ok(()) };
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let verb = verb.to_ascii_uppercase();
        said = match verb.as_str() {
            "AUTH" => {
                let signed_in = match sign_in(&mut stream, rest).await? {
                    Some(password) => password.starts_with("smtp_"),
                    None => false,
                };
                let answer = |session: &mut Session| {
                    session.signed_in = signed_in;
                    say(if signed_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" })
                };
                step(&state, "AUTH", &mut session, answer).await
            }
            "DATA" => {
                let ready = session.from.is_some() && !session.to.is_empty();
                let answer = |_: &mut Session| {
                    say(if ready { "354 end with a dot" } else { "503 5.5.1 MAIL and RCPT come before" })
                };
                match step(&state, "DATA", &mut session, answer).await {
                    Some(Said(text, true)) if text.starts_with("354") => {
                        stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
                        let message = message(&mut stream).await?;
                        let keep = |session: &mut Session| keep(&state, session, message);
                        step(&state, "END", &mut session, keep).await
                    }
                    other => other,
                }
            }
            _ => step(&state, &verb, &mut session, |session| command(session, &verb, rest)).await,
        };
    }
}

/// The command's effect and answer, or the fault that was asked for; nothing where the connection ends.
async fn step(
    state: &Mutex<State>,
    verb: &str,
    session: &mut Session,
    act: impl FnOnce(&mut Session) -> Said,
) -> Option<Said> {
    let request = Request {
        method: verb.to_owned(),
        path: "/".to_owned(),
        query: Vec::new(),
        headers: BTreeMap::new(),
        body: Vec::new(),
        at: Instant::now(),
    };
    let fault = {
        let mut state = lock(state);
        count(&mut state, NAME, verb.to_owned());
        state.fault(NAME, &request).unwrap_or_default()
    };
    if fault.delay_milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_milliseconds)).await;
    }
    match (fault.status, fault.break_off.as_deref()) {
        (Some(status), None) => Some(say(format!("{status} {}", fault.body))),
        (None, None) => Some(act(session)),
        (_, Some("after" | "half")) => {
            act(session);
            None
        }
        (_, Some(_)) => None,
    }
}

fn command(session: &mut Session, verb: &str, rest: &str) -> Said {
    match verb {
        "EHLO" if !rest.is_empty() => {
            session.greeted = true;
            say("250-sandbox.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 33554432")
        }
        "QUIT" => Said("221 2.0.0 bye".to_owned(), false),
        "NOOP" => say("250 2.0.0 fine"),
        "RSET" => {
            (session.from, session.to) = (None, Vec::new());
            say("250 2.0.0 forgotten")
        }
        _ if !session.greeted => say("503 5.5.1 EHLO comes first"),
        "MAIL" if !session.signed_in => say("530 5.7.0 sign in first"),
        "MAIL" => match address(rest, "FROM:") {
            Some(from) if session.from.is_none() => {
                session.from = Some(from);
                say("250 2.1.0 fine")
            }
            Some(_) => say("503 5.5.1 one letter after the other"),
            None => say("501 5.1.7 no address"),
        },
        "RCPT" if session.from.is_none() => say("503 5.5.1 MAIL comes before"),
        "RCPT" => match address(rest, "TO:") {
            Some(to) if to.starts_with("nobody@") => say("550 5.1.1 nobody of this name"),
            Some(to) => {
                session.to.push(to);
                say("250 2.1.5 fine")
            }
            None => say("501 5.1.3 no address"),
        },
        _ => say("502 5.5.1 unknown command"),
    }
}

/// `FROM:<a@b> SIZE=…`.
fn address(text: &str, keyword: &str) -> Option<String> {
    let (word, rest) = text.split_at_checked(keyword.len())?;
    let inside = rest.strip_prefix('<')?.split_once('>')?.0;
    let (local, domain) = inside.rsplit_once('@')?;
    (word.eq_ignore_ascii_case(keyword) && !local.is_empty() && !domain.is_empty()).then(|| inside.to_owned())
}

/// The password of PLAIN or LOGIN.
async fn sign_in(stream: &mut BufReader<TcpStream>, rest: &str) -> io::Result<Option<String>> {
    let text = |line: &str| String::from_utf8(BASE64_STANDARD.decode(line).ok()?).ok();
    let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            let whole = if initial.is_empty() { ask(stream, "334 ").await? } else { initial.to_owned() };
            Ok(text(&whole).and_then(|whole| whole.rsplit('\0').next().map(str::to_owned)))
        }
        "LOGIN" => {
            if initial.is_empty() {
                ask(stream, "334 VXNlcm5hbWU6").await?;
            }
            Ok(text(&ask(stream, "334 UGFzc3dvcmQ6").await?))
        }
        _ => Ok(None),
    }
}

async fn ask(stream: &mut BufReader<TcpStream>, question: &str) -> io::Result<String> {
    stream.get_mut().write_all(format!("{question}\r\n").as_bytes()).await?;
    Ok(line(stream).await?.unwrap_or_default())
}

/// One line without its end; nothing where the client has gone.
async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let limit = LONGEST_LINE as u64 + 2;
    (&mut *stream).take(limit).read_until(b'\n', &mut bytes).await?;
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => String::from_utf8(line.to_vec()).map(Some).map_err(io::Error::other),
        None if bytes.is_empty() => Ok(None),
        None => Err(io::Error::other("a line is too long or does not end in CR LF")),
    }
}

/// Up to the line with a dot.
async fn message(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut whole = String::new();
    while let Some(line) = line(stream).await? {
        if line == "." {
            return Ok(whole);
        }
        whole += line.strip_prefix('.').unwrap_or(&line);
        whole += "\r\n";
        if whole.len() > LARGEST {
            return Err(io::Error::other("the message is too large"));
        }
    }
    Err(io::Error::other("the message has no end"))
}

fn keep(state: &Mutex<State>, session: &mut Session, message: String) -> Said {
    let head = message.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    let has = |name: &str| head.lines().any(|line| line.starts_with(name));
    let (from, to) = (session.from.take().unwrap_or_default(), std::mem::take(&mut session.to));
    if !["from:", "to:", "date:", "message-id:"].into_iter().all(has) {
        return say("554 5.6.0 headers are missing");
    }
    let mut state = lock(state);
    state.mail.push(Mail { from, to, message });
    say(format!("250 2.0.0 Ok: queued as SB{:06}", state.mail.len()))
}
