//! OAuth tokens: fetched once, kept until shortly before they expire, fetched anew once when refused.

use super::client::{Body, Call, Client, Failure};
use secrecy::{ExposeSecret, SecretString};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// A token that ends within this is fetched anew.
const MARGIN: Duration = Duration::from_secs(60);

/// A token that lasts longer is fetched anew after this, too.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where tokens come from.
#[async_trait::async_trait]
pub trait TokenSource: Send + Sync {
    /// A new token and how long it lasts.
    async fn fetch(&self, client: &Client) -> Result<(SecretString, Duration), Failure>;
}

/// The token in use. Whoever finds it old fetches; the others wait for that one.
pub struct Tokens {
    source: Box<dyn TokenSource>,
    current: Mutex<Option<(Arc<SecretString>, Instant)>>,
}

impl Tokens {
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Self { source: Box::new(source), current: Mutex::new(None) }
    }

    /// A token that is not `refused`.
    pub async fn token(
        &self,
        client: &Client,
        refused: Option<&Arc<SecretString>>,
    ) -> Result<Arc<SecretString>, Failure> {
        let mut current = self.current.lock().await;
        if let Some((token, until)) = &*current
            && Instant::now() < *until
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, token))
        {
            return Ok(token.clone());
        }
        let (token, lasts) = self.source.fetch(client).await?;
        let token = Arc::new(token);
        // A token that lasts less than the margin is used for half its time.
        let used = if lasts > MARGIN * 2 { lasts.saturating_sub(MARGIN).min(LONGEST) } else { lasts / 2 };
        *current = Some((token.clone(), Instant::now() + used));
        Ok(token)
    }
}

/// The usual exchange (RFC 6749): a form with `grant_type` for `access_token` and `expires_in`.
pub struct FormGrant {
    /// Absolute, or a path from the base URL.
    pub url: String,
    /// Client id and secret as HTTP Basic; without them, they stand in the form.
    pub basic: Option<(String, SecretString)>,
    pub form: Vec<(String, SecretString)>,
}

#[async_trait::async_trait]
impl TokenSource for FormGrant {
    async fn fetch(&self, client: &Client) -> Result<(SecretString, Duration), Failure> {
        let form = self.form.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let mut call = Call::post("token", &self.url).body(Body::Form(form));
        if let Some((user, password)) = &self.basic {
            call = call.basic(user, password.clone());
        }
        read_token(&client.send(&call).await?)
    }
}

/// Whether a reply without a token can be the token endpoint's own word. A page, such as a proxy's or one about
/// maintenance, says nothing of credentials; only HTTP 401 and 404 speak for themselves.
pub fn is_about_credentials(reply: &super::client::Reply) -> bool {
    matches!(reply.status, 401 | 404) || reply.json().is_some_and(|body| body.is_object())
}

/// The failure where nobody spoke of credentials: it may pass.
pub fn no_answer(reply: &super::client::Reply) -> Failure {
    let reason = format!("HTTP {} with something else than a token: its token endpoint is out of order", reply.status);
    Failure { reason, again_after: None, status: Some(reply.status), lasting: false }
}

/// Reads `access_token` and `expires_in` (an hour where it is not said).
///
/// # Errors
/// There is no token: the credentials are wrong, or whoever answered is no token endpoint. The reply is not quoted, for it may hold them.
pub fn read_token(reply: &super::client::Reply) -> Result<(SecretString, Duration), Failure> {
    let body = reply.json().unwrap_or_default();
    let Some(token) = body["access_token"].as_str().filter(|token| !token.is_empty()) else {
        if !is_about_credentials(reply) {
            return Err(no_answer(reply));
        }
        let reason = format!("no token was given (HTTP {}): look at the credentials", reply.status);
        return Err(Failure { reason, again_after: None, status: Some(reply.status), lasting: true });
    };
    let seconds = body["expires_in"].as_u64().or_else(|| body["expires_in"].as_str()?.parse().ok());
    Ok((token.to_owned().into(), Duration::from_secs(seconds.unwrap_or(3600))))
}
