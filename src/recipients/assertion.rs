//! A signed assertion that asks for an access token: a JSON Web Token (RFC 7523), with RS256.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};

/// An assertion holds no longer.
const SECONDS: i64 = 3600;

/// The grant type of the form that takes an assertion.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Who asks, and for what.
pub struct Assertion {
    pub issuer: String,
    pub subject: Option<String>,
    pub audience: String,
    pub scope: Option<String>,
    pub key_id: Option<String>,
    pub key: RsaKeyPair,
}

/// Reads a private key in PEM (PKCS #8).
///
/// # Errors
/// It is none, in words without the key.
pub fn private_key(pem: &str) -> Result<RsaKeyPair, String> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "cannot be read".to_owned())?;
    RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| "is no RSA key of 2048 bits or more".to_owned())
}

impl Assertion {
    /// The signed token.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn sign(&self, now: Timestamp) -> Result<String, String> {
        let mut header = json!({"typ": "JWT", "alg": "RS256"});
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let now = now.as_second();
        let mut claims = json!({"iat": now, "exp": now + SECONDS, "iss": self.issuer, "aud": self.audience});
        for (claim, value) in [("scope", &self.scope), ("sub", &self.subject)] {
            if let Some(value) = value {
                claims[claim] = value.as_str().into();
            }
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "the assertion cannot be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
