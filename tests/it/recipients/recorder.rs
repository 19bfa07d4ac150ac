//! A server that answers what it is told to, and keeps every request to the byte.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

pub struct Recorder {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Answers one after the other; the last one stays. Each is a status and a body.
    pub async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let kept = requests.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((mut connection, _)) = listener.accept().await {
                let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
                while !is_whole(&bytes) {
                    let read = connection.read(&mut buffer).await.unwrap();
                    assert_ne!(read, 0, "half a request");
                    bytes.extend_from_slice(&buffer[..read]);
                }
                kept.lock().unwrap().push(String::from_utf8(bytes).unwrap());
                let (status, body) = answers.get(number).or(answers.last()).unwrap();
                number += 1;
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, requests }
    }

    /// All requests so far: their first line, those headers that matter, and the body.
    pub fn requests(&self) -> Vec<String> {
        let shown = |request: &String| {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            let first = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            let kept = ["authorization", "content-type", "x-z-base-account-id"];
            let mut headers: Vec<_> =
                lines.filter(|line| kept.contains(&line.split(':').next().unwrap())).map(str::to_owned).collect();
            headers.sort();
            [vec![first], headers, vec![body.to_owned()]].concat().join("\n")
        };
        self.requests.lock().unwrap().iter().map(shown).collect()
    }
}

pub fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
