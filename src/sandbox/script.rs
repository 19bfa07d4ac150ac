//! A stand-in that follows a script: the calls of a recipe's example, in order, each with its reply.

use super::read;
use crate::{
    language::node::Node,
    recipients::{
        Plumbing, RecipientSettings, Subject,
        answer::State as Answered,
        http, open,
        options::Options,
        recipe::{Example, ExpectedCall, Recipe},
        stand_in::Request,
    },
};

use http_body_util::Full;
use hyper::{
    Response as HttpResponse,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server that follows a script; it ends when this is dropped.
struct Script {
    url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    expected: VecDeque<ExpectedCall>,
    problems: Vec<String>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((connection, _)) = listener.accept().await else { continue };
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| serve(request, state.clone()));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Ok(Self { url, state, task })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, calls: &[ExpectedCall]) {
        self.state().expected = calls.iter().cloned().collect();
    }

    /// What was not as the script has it, since it was last asked.
    fn problems(&self) -> Vec<String> {
        let mut state = self.state();
        let missing: Vec<_> =
            state.expected.drain(..).map(|call| format!("{} {} was not called", call.method, call.path)).collect();
        state.problems.drain(..).chain(missing).collect()
    }
}

async fn serve(
    request: hyper::Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<HttpResponse<Full<Bytes>>, io::Error> {
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let request = read(request).await?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(call) = state.expected.pop_front() else {
        state.problems.push(format!("{} {target} was called, and nothing more is expected", request.method));
        return Ok(answer(500, None));
    };
    let found = differences(&call, &request, &target);
    state.problems.extend(found);
    Ok(answer(call.status, call.reply.as_ref()))
}

fn answer(status: u16, body: Option<&serde_json::Value>) -> HttpResponse<Full<Bytes>> {
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let builder = HttpResponse::builder().status(status).header("content-type", "application/json");
    builder.body(Full::new(bytes)).unwrap_or_default()
}

fn differences(call: &ExpectedCall, request: &Request, target: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, wanted: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        all.push(format!("{} {}: {what} should be {wanted}, and is {found}", call.method, call.path));
    };
    if request.method != call.method {
        differ("the method", &call.method, &request.method);
    }
    if target != call.path {
        differ("the path", &call.path, &target);
    }
    for (name, wanted) in &call.headers {
        let found = request.header(&name.to_ascii_lowercase()).unwrap_or("absent");
        if found != wanted {
            differ(&format!("the header `{name}`"), wanted, &found);
        }
    }
    if let Some(wanted) = &call.json {
        match request.json() {
            Some(found) if found == *wanted => {}
            Some(found) => differ("the body", wanted, &found),
            None => differ("the body", wanted, &"no JSON"),
        }
    }
    if let Some(wanted) = &call.form {
        let found = request.form().unwrap_or_default();
        if found != *wanted {
            differ("the form", &format!("{wanted:?}"), &format!("{found:?}"));
        }
    }
    if let Some(wanted) = &call.text {
        let found = String::from_utf8_lossy(&request.body);
        if found.trim_end() != wanted.trim_end() {
            differ("the body", wanted, &found);
        }
    }
    all
}

/// Plays one example of a recipe on loopback, and tells what is not as it says.
///
/// # Errors
/// There is no port, or the recipe cannot be used; in words.
pub async fn play(recipe: &Recipe, example: &Example) -> Result<Vec<String>, String> {
    let script = Script::start().await.map_err(|error| error.to_string())?;
    let with = example.with.iter().map(|(name, text)| (name.clone(), Node::Text(text.clone()))).collect();
    let own = vec![
        ("with".to_owned(), Node::Map(with)),
        ("hmac_key".to_owned(), Node::Text("key".to_owned())),
        // a recipe's own would be another server
        ("auth".to_owned(), Node::Map(vec![("bearer".to_owned(), Node::Text("token".to_owned()))])),
    ];
    let settings = RecipientSettings {
        name: recipe.name.clone(),
        url: Some(script.url.clone()),
        options: Options::new(Node::Map(recipe.under(own))),
        ..RecipientSettings::bare(&http::KIND)
    };
    (http::KIND.check)(&settings).map_err(|misfit| format!("{}: {}", misfit.at.join("."), misfit.problem))?;
    let plumbing = Plumbing::new()?;
    let recipient = open(&settings, &plumbing).map_err(|error| error.reason)?;
    let people: Vec<_> = example.people.iter().map(|person| Subject::without_tag(person.clone())).collect();

    script.expect(&example.calls);
    let answers = recipient.delete(&people).await;
    let mut problems = script.problems();
    let words: Vec<_> = answers.iter().map(|answer| answer.state.word()).collect();
    if words != example.answers {
        let reasons: Vec<_> = answers.iter().filter_map(|answer| answer.state.reason()).collect();
        problems.push(format!(
            "the answers should be {}, and are {} {}",
            example.answers.join(", "),
            words.join(", "),
            reasons.join("; ")
        ));
    }
    let mut ticket = match answers.first().map(|answer| &answer.state) {
        Some(Answered::Accepted { poll }) => Some(poll.ticket.clone()),
        _ => None,
    };
    for poll in &example.polls {
        let Some(asked) = ticket.clone() else {
            problems.push("there is no accepted work to ask about".to_owned());
            break;
        };
        script.expect(&poll.calls);
        let answers = recipient.poll(&[asked]).await;
        problems.extend(script.problems());
        let word = answers.first().map_or("nothing", |answer| answer.state.word());
        if word != poll.answer {
            problems.push(format!("the poll should answer {}, and answers {word}", poll.answer));
        }
        if let Some(Answered::Accepted { poll }) = answers.first().map(|answer| &answer.state) {
            ticket = Some(poll.ticket.clone());
        }
    }
    Ok(problems)
}
