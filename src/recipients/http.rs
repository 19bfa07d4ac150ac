//! `http`: a recipient that is described in `sunset.yaml` alone: one call for each person, what its reply means, and how to
//! learn the end of work that was only accepted.

use super::{
    Answer, CheckError, Checked, Facts, Grade, Identifiers, Kind, Misfit, OpenError, Options, Plumbing, Recipient,
    RecipientSettings, Subject,
    client::{Auth, Body, Call, Client, Conduct, Reply, in_order, segment},
    retry::usual,
    template::Template,
    token::{FormGrant, Tokens},
};
use crate::{
    diagnostic::Code,
    rules::{
        format,
        node::Node,
        shape::{Bounds, Field, MapShape, Shape, Word},
    },
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Calls under way at a time, where settings say nothing.
const AT_ONCE: usize = 32;

/// Between two looks at accepted work, where settings say nothing.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Names in templates that are no identifiers.
const OURS: &[&str] = &["reference", "ticket"];

pub static KIND: Kind = Kind {
    name: "http",
    doc: "Any other recipient that is asked over HTTP, described here. Texts take identifiers as `{email}`, or through \
          filters as `{email|trim|lower|sha256}` (`digits` too); `{reference}` names the request: the same as long as \
          it is repeated, another when the person comes back, and it tells nobody anything.",
    settings: SETTINGS,
    identifiers: Identifiers::OfSettings(|settings| {
        Description::read(settings).map_or_else(|_| Vec::new(), |description| description.identifiers())
    }),
    check: |settings| Description::read(settings).map(drop),
    facts: |settings| Facts {
        batch: 1,
        calls: 1,
        rates: settings.rates(&[]),
        grade: grade(settings),
        deleted: "what its own documentation says",
        kept: "what its own documentation says",
        sources: &[],
    },
    open: |settings, plumbing| Ok(Box::new(Http::open(settings, plumbing)?)),
};

const fn field(name: &'static str, doc: &'static str, shape: Shape, example: &'static str) -> Field {
    Field { name, required: false, doc, shape, example }
}

const fn needed(name: &'static str, doc: &'static str, shape: Shape, example: &'static str) -> Field {
    Field { name, required: true, doc, shape, example }
}

const TEXTS: Shape = Shape::Named { key: &format::TEXT, value: &Shape::Text(&format::SETTING) };
const STATUSES: Shape = Shape::List {
    item: &Shape::Integer(Bounds { least: Some(200.0), most: Some(599.0), above: false, code: Code::BadLimit }),
    least: 1,
    unique: true,
};

const SETTINGS: &[Field] = &[
    needed(
        "delete",
        "The call for one person.",
        Shape::Map(&DELETE),
        "{method: DELETE, path: \"/v1/people/{email}\", gone: [404]}",
    ),
    field("poll", "How to learn the end of accepted work.", Shape::Map(&POLL), "{path: \"/v1/jobs/{ticket}\", …}"),
    field("auth", "How to prove who calls.", Shape::Map(&AUTH), "{bearer: \"${CRM_TOKEN}\"}"),
    field("headers", "Sent with every call.", TEXTS, "{X-Tenant: \"1234\"}"),
    field("check", "A path that a GET can prove the credentials with.", Shape::Text(&format::SETTING), "/v1/me"),
    field(
        "grade",
        "The evidence that success is: `E1` where its reply reports the end, `E2` (the default) where it accepts the request. \
         `E1` needs `confirmed`, a test of the reply's body; without it, success is `E2`, for any server may answer 200.",
        Shape::Words(&[
            Word { word: "E1", doc: "the reply, as `confirmed` tests it, says that the data are gone" },
            Word { word: "E2", doc: "success means that the request was accepted" },
        ]),
        "E1",
    ),
    field(
        "at_once",
        "Calls under way at a time; 32 by default.",
        Shape::Integer(Bounds { least: Some(1.0), most: Some(256.0), above: false, code: Code::BadLimit }),
        "4",
    ),
];

static DELETE: MapShape = MapShape::new(
    "a call of an `http` recipient",
    &[
        needed(
            "method",
            "The HTTP method.",
            Shape::Words(&[
                Word { word: "DELETE", doc: "DELETE" },
                Word { word: "POST", doc: "POST" },
                Word { word: "PUT", doc: "PUT" },
                Word { word: "PATCH", doc: "PATCH" },
                Word { word: "GET", doc: "GET" },
            ]),
            "DELETE",
        ),
        needed(
            "path",
            "From the base URL; identifiers are escaped.",
            Shape::Text(&format::SETTING),
            "/v1/people/{email}",
        ),
        field("query", "Parameters behind the path.", TEXTS, "{email: \"{email}\"}"),
        field("headers", "Of this call.", TEXTS, "{Idempotency-Key: \"{reference}\"}"),
        field("json", "The body as JSON.", Shape::Any, "{email: \"{email}\"}"),
        field("form", "The body as a form.", TEXTS, "{email: \"{email}\"}"),
        field("success", "Statuses that mean success; all of 200 to 299 by default.", STATUSES, "[200, 204]"),
        field(
            "gone",
            "Statuses that mean that there was nobody, where the body is JSON or empty; none by default.",
            STATUSES,
            "[404, 410]",
        ),
        field(
            "retry",
            "Statuses after which the same call is tried again, beside 408, 425, 429 and 500 to 599.",
            STATUSES,
            "[409]",
        ),
        field(
            "confirmed",
            "Success only if the reply holds this.",
            Shape::Map(&TEST),
            "{pointer: /deleted, is: [true]}",
        ),
        field(
            "nobody",
            "There was nobody if the reply, whatever its status, holds this.",
            Shape::Map(&TEST),
            "{pointer: /error, is: [unknown_user]}",
        ),
        field(
            "ticket",
            "Where the reply names the accepted work, as a JSON pointer; `poll` asks about it.",
            Shape::Text(&format::POINTER),
            "/job/id",
        ),
        field(
            "request_id",
            "The header that names the call, for the ledger.",
            Shape::Text(&format::TEXT),
            "x-request-id",
        ),
    ],
)
.groups(&[&[], &["json"], &["form"]]);

static TEST: MapShape = MapShape::new(
    "a test of a reply",
    &[
        needed("pointer", "Where to look, as a JSON pointer (RFC 6901).", Shape::Text(&format::POINTER), "/status"),
        needed(
            "is",
            "One of these must stand there.",
            Shape::List {
                item: &Shape::Either(&[Shape::Boolean, Shape::Number(ANY), Shape::Null, Shape::Text(&format::TEXT)]),
                least: 1,
                unique: true,
            },
            "[deleted]",
        ),
    ],
);

const ANY: Bounds = Bounds { least: None, most: None, above: false, code: Code::BadLimit };

static POLL: MapShape = MapShape::new(
    "a poll of an `http` recipient",
    &[
        needed("path", "From the base URL, asked with GET.", Shape::Text(&format::SETTING), "/v1/jobs/{ticket}"),
        needed(
            "done",
            "The data are gone if the reply holds this.",
            Shape::Map(&TEST),
            "{pointer: /status, is: [done]}",
        ),
        field(
            "failed",
            "The request was refused if the reply holds this.",
            Shape::Map(&TEST),
            "{pointer: /status, is: [failed]}",
        ),
        field("every", "Between two looks; `10 min` by default.", Shape::Text(&format::DURATION), "10 min"),
    ],
);

static AUTH: MapShape = MapShape::new(
    "credentials of an `http` recipient",
    &[
        field("bearer", "A token in the header `Authorization`.", Shape::Text(&format::KEY), "\"${CRM_TOKEN}\""),
        field("basic", "User and password.", Shape::Map(&BASIC), "{user: sunset, password: \"${CRM_PASSWORD}\"}"),
        field(
            "header",
            "A key in a header of its own.",
            Shape::Map(&HEADER),
            "{name: X-Api-Key, value: \"${CRM_KEY}\"}",
        ),
        field(
            "oauth",
            "A token that is fetched (client credentials).",
            Shape::Map(&OAUTH),
            "{token_url: /oauth/token, …}",
        ),
    ],
)
.count(1, 1);

static BASIC: MapShape = MapShape::new(
    "user and password",
    &[
        needed("user", "The user.", Shape::Text(&format::SETTING), "sunset"),
        needed("password", "The password.", Shape::Text(&format::KEY), "\"${CRM_PASSWORD}\""),
    ],
);

static HEADER: MapShape = MapShape::new(
    "a header with a key",
    &[
        needed("name", "The header.", Shape::Text(&format::TEXT), "X-Api-Key"),
        needed("value", "The key.", Shape::Text(&format::KEY), "\"${CRM_KEY}\""),
    ],
);

static OAUTH: MapShape = MapShape::new(
    "OAuth client credentials",
    &[
        needed("token_url", "Absolute, or a path from the base URL.", Shape::Text(&format::SETTING), "/oauth/token"),
        needed("client_id", "Of the client.", Shape::Text(&format::SETTING), "sunset"),
        needed("client_secret", "Of the client.", Shape::Text(&format::KEY), "\"${CRM_SECRET}\""),
        field("scope", "What is asked for.", Shape::Text(&format::SETTING), "people.delete"),
    ],
);

fn grade(settings: &RecipientSettings) -> Grade {
    match settings.options.text("grade") {
        // Any status can be a proxy's: only a test of the body proves an end.
        Some("E1") if settings.options.inner("delete").is_some_and(|call| call.node("confirmed").is_some()) => {
            Grade::E1
        }
        // A poll tells the end, whatever the first answer was.
        _ if settings.options.node("poll").is_some() => Grade::E1,
        _ => Grade::E2,
    }
}

/// The settings, read.
struct Description {
    method: Method,
    path: Template,
    query: Vec<(String, Template)>,
    headers: Vec<(String, Template)>,
    body: Content,
    success: Vec<u16>,
    gone: Vec<u16>,
    retry: Vec<u16>,
    confirmed: Option<Test>,
    nobody: Option<Test>,
    ticket: Option<String>,
    request_id: Option<String>,
    poll: Option<Poll>,
}

struct Poll {
    path: Template,
    done: Test,
    failed: Option<Test>,
    every: Duration,
}

enum Content {
    None,
    Json(Tree),
    Form(Vec<(String, Template)>),
}

/// JSON whose texts are templates.
enum Tree {
    Text(Template),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    Other(Value),
}

struct Test {
    pointer: String,
    is: Vec<Value>,
}

impl Test {
    fn read(options: &Options, key: &str) -> Option<Self> {
        let test = options.inner(key)?;
        let is = test.node("is")?.items().iter().map(Node::to_json).collect();
        Some(Self { pointer: test.text("pointer")?.to_owned(), is })
    }

    fn holds(&self, body: Option<&Value>) -> bool {
        body.and_then(|body| body.pointer(&self.pointer)).is_some_and(|value| self.is.contains(value))
    }
}

impl Tree {
    fn read(node: &Node) -> Result<Self, String> {
        Ok(match node {
            Node::Text(text) => Self::Text(Template::parse(text)?),
            Node::List(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Node::Map(entries) => {
                let entry = |(key, node): &(String, Node)| Ok((key.clone(), Self::read(node)?));
                Self::Map(entries.iter().map(entry).collect::<Result<_, String>>()?)
            }
            node => Self::Other(node.to_json()),
        })
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Text(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(_, tree)| tree.templates()).collect(),
            Self::Other(_) => Vec::new(),
        }
    }

    fn fill<'a>(&self, value: &impl Fn(&str) -> Option<&'a str>) -> Option<Value> {
        Some(match self {
            Self::Text(template) => template.fill(value, str::to_owned)?.into(),
            Self::List(items) => Value::Array(items.iter().map(|item| item.fill(value)).collect::<Option<_>>()?),
            Self::Map(entries) => {
                let entry = |(key, tree): &(String, Self)| Some((key.clone(), tree.fill(value)?));
                Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            Self::Other(value) => value.clone(),
        })
    }
}

impl Description {
    fn read(settings: &RecipientSettings) -> Result<Self, Misfit> {
        let misfit = |at: &[&'static str], problem: &str, help: &str| Misfit {
            at: at.to_vec(),
            problem: problem.to_owned(),
            help: help.to_owned(),
        };
        let template = |at: &[&'static str], text: &str| {
            Template::parse(text).map_err(|problem| misfit(at, &problem, "for example `/v1/people/{email}`"))
        };
        let call = settings.options.inner("delete");
        let call = call.ok_or_else(|| misfit(&[], "`delete` is missing", "describe the call for one person"))?;
        let templates = |key: &'static str| -> Result<Vec<(String, Template)>, Misfit> {
            let entries = call.entries(key).into_iter();
            entries.map(|(name, text)| Ok((name.to_owned(), template(&["delete", key], text)?))).collect()
        };
        let path = |at: &[&'static str], text: Option<&str>| {
            let text = text.unwrap_or_default();
            if !text.starts_with('/') {
                return Err(misfit(at, "the path does not begin with `/`", "write it from the base URL, `/v1/people`"));
            }
            template(at, text)
        };
        if settings.url.is_none() {
            return Err(misfit(&[], "`url` is missing", "name the base URL: `url: https://api.example.com`"));
        }
        let body = match call.node("json") {
            Some(node) => Content::Json(
                Tree::read(node).map_err(|problem| misfit(&["delete", "json"], &problem, "`{{` stands for `{`"))?,
            ),
            None if call.node("form").is_some() => Content::Form(templates("form")?),
            None => Content::None,
        };
        let statuses = |key: &str| -> Vec<u16> {
            let items = call.node(key).map(Node::items).unwrap_or_default();
            let number =
                |node: &Node| if let Node::Number(number) = node { number.as_u64()?.try_into().ok() } else { None };
            items.iter().filter_map(number).collect()
        };
        let poll = match settings.options.inner("poll") {
            None => None,
            Some(poll) => Some(Poll {
                path: path(&["poll", "path"], poll.text("path"))?,
                done: Test::read(&poll, "done")
                    .ok_or_else(|| misfit(&["poll"], "`done` is missing", "say what tells the end"))?,
                failed: Test::read(&poll, "failed"),
                every: poll.text("every").and_then(format::duration).unwrap_or(EVERY),
            }),
        };
        let description = Self {
            method: call.text("method").and_then(|method| method.parse().ok()).unwrap_or(Method::DELETE),
            path: path(&["delete", "path"], call.text("path"))?,
            query: templates("query")?,
            headers: templates("headers")?,
            body,
            success: statuses("success"),
            gone: statuses("gone"),
            retry: statuses("retry"),
            confirmed: Test::read(&call, "confirmed"),
            nobody: Test::read(&call, "nobody"),
            ticket: call.text("ticket").map(str::to_owned),
            request_id: call.text("request_id").map(str::to_owned),
            poll,
        };
        if description.identifiers().is_empty() {
            let help = "put an identifier into path, query, headers or body: `{email}`";
            return Err(misfit(&["delete"], "the call names nobody", help));
        }
        match (&description.ticket, &description.poll) {
            (Some(_), None) => {
                let help = "add `poll` with a path that takes `{ticket}`";
                return Err(misfit(&["delete", "ticket"], "nobody asks about the ticket", help));
            }
            (None, Some(_)) => {
                let help = "say in `delete.ticket` where the reply names it";
                return Err(misfit(&["poll"], "there is no ticket to ask about", help));
            }
            _ => {}
        }
        if let Some(poll) = &description.poll
            && poll.path.names().any(|name| name != "ticket")
        {
            let help = "the person may be gone by then: only `{ticket}` can stand here";
            return Err(misfit(&["poll", "path"], "a poll knows the ticket alone", help));
        }
        Ok(description)
    }

    fn identifiers(&self) -> Vec<String> {
        let pairs = self.query.iter().chain(&self.headers).map(|(_, template)| template);
        let body = match &self.body {
            Content::None => Vec::new(),
            Content::Json(tree) => tree.templates(),
            Content::Form(pairs) => pairs.iter().map(|(_, template)| template).collect(),
        };
        let all = [&self.path].into_iter().chain(pairs).chain(body);
        let names: BTreeSet<_> = all.flat_map(Template::names).filter(|name| !OURS.contains(name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// `None` where an identifier is missing.
    fn call(&self, subject: &Subject) -> Option<Call> {
        let reference = subject.request();
        let value = |name: &str| match name {
            "reference" => Some(reference.as_str()),
            name => subject.get(name),
        };
        let plain: fn(&str) -> String = str::to_owned;
        let mut call = Call::new("delete", self.method.clone(), self.path.fill(value, segment)?);
        for (name, template) in &self.query {
            call = call.query(name, template.fill(value, plain)?);
        }
        for (name, template) in &self.headers {
            call = call.header(name, template.fill(value, plain)?);
        }
        Some(call.body(match &self.body {
            Content::None => Body::None,
            Content::Json(tree) => Body::Json(tree.fill(&value)?),
            Content::Form(pairs) => {
                let pair = |(name, template): &(String, Template)| Some((name.clone(), template.fill(value, plain)?));
                Body::Form(pairs.iter().map(pair).collect::<Option<_>>()?)
            }
        }))
    }

    fn judge(&self, reply: &Reply) -> Answer {
        let body = reply.json();
        let id = self.request_id.as_ref().and_then(|header| reply.id(header));
        let success = if self.success.is_empty() { reply.is_success() } else { self.success.contains(&reply.status) };
        let answer = if reply.is_page() && (success || self.gone.contains(&reply.status)) {
            let reason = format!("HTTP {} with a page, which is no answer of an API: look at `url`", reply.status);
            if success { Answer::unreachable(reason, None) } else { Answer::refused(reason) }
        } else if self.gone.contains(&reply.status) && (reply.body.is_empty() || body.is_some())
            || self.nobody.as_ref().is_some_and(|test| test.holds(body.as_ref()))
        {
            Answer::gone(Grade::E1)
        } else if !success {
            Answer::refused(words_of(reply))
        } else if self.confirmed.as_ref().is_some_and(|test| !test.holds(body.as_ref())) {
            Answer::unreachable(format!("HTTP {} without the confirmation that is asked for", reply.status), None)
        } else {
            return self.accepted(body.as_ref(), reply.status).request_id(id);
        };
        answer.request_id(id)
    }

    /// A success: its end, or the ticket to ask with.
    fn accepted(&self, body: Option<&Value>, status: u16) -> Answer {
        let (Some(pointer), Some(poll)) = (&self.ticket, &self.poll) else { return Answer::confirmed(Grade::E1) };
        if poll.done.holds(body) {
            return Answer::confirmed(Grade::E1);
        }
        let ticket = body.and_then(|body| body.pointer(pointer)).and_then(|ticket| match ticket {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        match ticket.filter(|ticket| !ticket.is_empty() && ticket.len() <= 200) {
            Some(ticket) => Answer::accepted(ticket, poll.every),
            None => Answer::unreachable(format!("HTTP {status} without a ticket"), None),
        }
    }
}

struct Http {
    client: Client,
    description: Description,
    auth: Auth,
    headers: Vec<(String, SecretString)>,
    check: Option<String>,
    grade: Grade,
    at_once: usize,
}

impl Http {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let description = Description::read(settings).map_err(|misfit| wrong(&misfit.problem))?;
        let options = &settings.options;
        let auth = match options.inner("auth") {
            None if options.node("auth").is_some() => return Err(wrong("`auth` cannot be used")),
            None => Auth::None,
            Some(auth) => credentials(&auth).ok_or_else(|| wrong("the credentials are not there"))?,
        };
        Ok(Self {
            client: plumbing
                .client(settings, &Conduct { base: "", rates: &[], judge: usual })?
                .also_retry(&description.retry),
            description,
            auth,
            headers: options
                .entries("headers")
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.into()))
                .collect(),
            check: options.text("check").map(str::to_owned),
            grade: grade(settings),
            at_once: options.number("at_once").and_then(|number| usize::try_from(number).ok()).unwrap_or(AT_ONCE),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, super::client::Failure> {
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value.clone()));
        self.client.send(&call.auth(self.auth.clone())).await
    }

    /// The grade that success is here.
    fn graded(&self, answer: Answer) -> Answer {
        match answer.grade {
            Some(Grade::E1) if self.description.poll.is_none() => Answer { grade: Some(self.grade), ..answer },
            _ => answer,
        }
    }

    async fn delete_one(&self, subject: &Subject) -> Answer {
        let Some(call) = self.description.call(subject) else {
            return Answer::not_possible("the row has not all identifiers that the call needs");
        };
        match self.send(call).await {
            Ok(reply) => self.graded(self.description.judge(&reply)),
            Err(failure) => failure.into(),
        }
    }

    async fn poll_one(&self, ticket: &str) -> Answer {
        let Some(poll) = &self.description.poll else { return Answer::refused("nobody told how to poll") };
        let path = poll.path.fill(|name| (name == "ticket").then_some(ticket), segment);
        let Some(path) = path else { return Answer::refused("nobody told how to poll") };
        let reply = match self.send(Call::get("poll", path)).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into(),
        };
        let body = reply.json();
        let id = self.description.request_id.as_ref().and_then(|header| reply.id(header));
        let answer = if poll.done.holds(body.as_ref()) {
            Answer::confirmed(Grade::E1)
        } else if poll.failed.as_ref().is_some_and(|test| test.holds(body.as_ref())) {
            Answer::refused("the recipient reports that the request failed")
        } else if reply.is_success() && body.is_some() {
            Answer::accepted(ticket, poll.every)
        } else if reply.is_page() {
            Answer::unreachable(format!("HTTP {} with a page, which is no answer of an API", reply.status), None)
        } else if reply.status == 404 {
            Answer::forgotten("the ticket is unknown; a new request will be made")
        } else if reply.is_success() {
            Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None)
        } else {
            Answer::refused(words_of(&reply))
        };
        answer.request_id(id)
    }
}

#[async_trait::async_trait]
impl Recipient for Http {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), self.at_once).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        in_order(tickets.iter().map(|ticket| self.poll_one(ticket)).collect(), self.at_once).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let Some(path) = &self.check else {
            return Ok(Checked::Unproven { reason: "`check` names no path that proves the credentials".to_owned() });
        };
        match self.send(Call::get("check", path)).await {
            Ok(reply) if reply.is_success() => Ok(Checked::Proven),
            Ok(reply) => Err(CheckError { reason: words_of(&reply), temporary: false }),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

fn credentials(auth: &Options) -> Option<Auth> {
    if let Some(token) = auth.secret("bearer") {
        return Some(Auth::Bearer(token));
    }
    if let Some(basic) = auth.inner("basic") {
        return Some(Auth::Basic(basic.text("user")?.to_owned(), basic.secret("password")?));
    }
    if let Some(header) = auth.inner("header") {
        return Some(Auth::Header(header.text("name")?.to_owned(), header.secret("value")?));
    }
    let oauth = auth.inner("oauth")?;
    let mut form = vec![("grant_type".to_owned(), SecretString::from("client_credentials"))];
    form.extend(oauth.secret("scope").map(|scope| ("scope".to_owned(), scope)));
    let basic = Some((oauth.text("client_id")?.to_owned(), oauth.secret("client_secret")?));
    let url = oauth.text("token_url")?.to_owned();
    Some(Auth::Tokens(Arc::new(Tokens::new(FormGrant { url, basic, form }))))
}

/// The status alone: nobody knows what else is in the reply.
fn words_of(reply: &Reply) -> String {
    match reply.status {
        401 => "the credentials are refused (HTTP 401)".to_owned(),
        403 => "the credentials do not allow this (HTTP 403)".to_owned(),
        300..=399 => format!("HTTP {}: a redirect, which is not followed; look at `url`", reply.status),
        status => format!("HTTP {status}"),
    }
}
