//! Requests to `sunset serve`: nobody sees anything of the job without the token, or on loopback under another host's name,
//! and no request keeps the server from answering the next one.

use super::{Target, root};
use base64::Engine as _;
use std::{
    fs,
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};
use sunset::{
    diagnostic::Severity,
    job,
    serve::{
        access::Access,
        board::Board,
        clock::Clock,
        http::{Server, Snapshots},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_util::sync::CancellationToken;

pub static TARGET: Target = Target {
    name: "requests",
    check,
    seeds: &[],
    words: &[
        "GET ",
        "HEAD ",
        "POST ",
        "OPTIONS * ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/rules",
        "/ledger",
        "//metrics",
        "/./metrics",
        "/%6detrics",
        "http://localhost/",
        "http://evil.example/metrics",
        "Host: localhost\r\n",
        "Host: 127.0.0.1:9464\r\n",
        "Host: [::1]\r\n",
        "Host: evil.example\r\n",
        "Host:localhost.evil.example\r\n",
        "Authorization: Bearer ",
        "Authorization: Basic ",
        "open-sesame",
        "OnguZXNhbWU=",
        "Accept-Language: ja\r\n",
        "?lang=ja",
        "Expect: 100-continue\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n",
        "Upgrade: h2c\r\n",
        "Connection: keep-alive\r\n",
        "\r\n\r\n",
        "\n",
        " ",
        "\t",
        "@",
        "#",
    ],
};

const TOKEN: &str = "open-sesame-0123456789";

struct StoppedClock;

#[async_trait::async_trait]
impl Clock for StoppedClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    async fn wait_until(&self, _: jiff::Timestamp) {
        std::future::pending::<()>().await;
    }
}

/// Two servers of the demo's job, one that asks for a token and one for loopback alone.
struct Stand {
    runtime: Runtime,
    guarded: std::net::SocketAddr,
    open: std::net::SocketAddr,
    /// What a page or a metric of the job shows.
    job: String,
    _token: tempfile::NamedTempFile,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let job = Arc::new(job::load(&root().join("jobs/demo"), Severity::Warning).expect("the demo's job"));
    let token = tempfile::NamedTempFile::new().expect("a file");
    fs::write(token.path(), TOKEN).expect("a token");
    let start = |access: Access| {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (clock, snapshots) = (Arc::new(StoppedClock), Snapshots::default());
        let board = Arc::new(Board::new(job.clone(), jiff::Timestamp::UNIX_EPOCH));
        let server = Arc::new(Server { board, clock, access, snapshots });
        runtime.spawn(server.run(listener, CancellationToken::new()));
        address
    };
    let guarded = start(Access::Token(token.path().to_owned()));
    let open = start(Access::Loopback);
    Stand { guarded, open, job: job.settings.name.clone(), _token: token, runtime }
});

fn check(input: &[u8]) -> String {
    let stand = &*STAND;
    let mut seen = Vec::new();
    for (address, may_see) in [(stand.guarded, shows_the_token(input)), (stand.open, is_for_loopback(input))] {
        let answer = stand.runtime.block_on(ask(address, input));
        let text = String::from_utf8_lossy(&answer);
        assert!(may_see || !text.contains(&stand.job), "a stranger sees the job: {text}");
        assert!(!text.contains(TOKEN), "the token is told: {text}");
        let alive = stand.runtime.block_on(ask(address, b""));
        assert!(alive.starts_with(b"HTTP/1.1 200 "), "the server does not answer any more");
        seen.extend(text.lines().filter(|line| line.starts_with("HTTP/1.")).map(str::to_owned));
    }
    seen.truncate(4);
    seen.join(" ")
}

/// Comes after what is sent, so that the server hangs up when it has read all of it.
const END: &[u8] = b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: probe.invalid\r\nConnection: close\r\n\r\n";

/// Sends these bytes, and reads what comes back.
async fn ask(address: std::net::SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    // the server may have answered and gone before it has read everything
    let _ = connection.write_all(&[input, END].concat()).await;
    let read = tokio::time::timeout(Duration::from_secs(15), connection.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server neither answers nor hangs up");
    answer
}

/// Values of the headers of this name, wherever a header could begin.
fn headers<'a>(input: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let value = move |line: &'a str| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    };
    input.split(['\n', '\r']).filter_map(value)
}

fn shows_the_token(input: &[u8]) -> bool {
    let input = String::from_utf8_lossy(input);
    headers(&input, "authorization").any(|value| {
        let value = value.split_once(' ').map_or("", |(_, shown)| shown.trim());
        let decoded = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
        value == TOKEN || String::from_utf8_lossy(&decoded).ends_with(&format!(":{TOKEN}"))
    })
}

fn is_for_loopback(input: &[u8]) -> bool {
    let input = String::from_utf8_lossy(input);
    headers(&input, "host").any(|host| {
        let name = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
