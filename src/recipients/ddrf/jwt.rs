//! JSON Web Tokens (RFC 7519) signed with RS256 or ES256, and their keys (RFC 7517).
//!
//! Of a key's own words, `kty`, `crv`, `alg` and `use` bind: a token is verified with the algorithm that the key is for,
//! never with one that the token wishes for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

/// Signs tokens.
pub struct PrivateKey {
    id: String,
    pair: Pair,
}

enum Pair {
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    P256(EcdsaKeyPair),
}

impl PrivateKey {
    /// An RSA key of at least 2,048 bits or a key on P-256, as PEM; `id` becomes `kid`.
    ///
    /// # Errors
    /// It is no such key; the words hold nothing of it.
    pub fn read(pem: &str, id: &str) -> Result<Self, String> {
        const KINDS: &str = "an RSA key of 2048 bits or more, or a key on P-256";
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| format!("the private key is no PEM: give {KINDS}, as `openssl genpkey` writes it"))?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok().map(Pair::Rsa),
            PrivateKeyDer::Pkcs8(key) => {
                let key = key.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(key).ok().map(Pair::Rsa);
                let random = SystemRandom::new();
                let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &random);
                rsa.or_else(|| p256().ok().map(Pair::P256))
            }
            _ => return Err("the private key is not PKCS #8: `openssl pkcs8 -topk8 -nodes` makes it so".to_owned()),
        };
        let pair = pair.ok_or_else(|| format!("the private key is not {KINDS}"))?;
        Ok(Self { id: id.to_owned(), pair })
    }

    /// The token with these claims.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let algorithm = self.algorithm();
        let header = json!({"alg": algorithm, "kid": self.id, "typ": "JWT"});
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let random = SystemRandom::new();
        let failed = |_| "nothing can be signed: the system has no random numbers".to_owned();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).map_err(failed)?;
                signature
            }
            Pair::P256(pair) => pair.sign(&random, signed.as_bytes()).map_err(failed)?.as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        }
    }

    /// The public half as a JSON Web Key.
    pub fn public(&self) -> Value {
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
            Pair::P256(pair) => {
                // One byte that says "uncompressed", then both coordinates.
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])})
            }
        };
        key["kid"] = self.id.as_str().into();
        key["alg"] = self.algorithm().into();
        key["use"] = "sig".into();
        key
    }
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is no JSON Web Token")]
    Malformed,
    #[error("it is signed with neither RS256 nor ES256")]
    Algorithm,
    #[error("the key that it names is not published")]
    UnknownKey,
    #[error("its signature is not valid")]
    Signature,
}

/// The claims of a token that one of these keys has signed: the key of its `kid`; where it names none, any.
///
/// # Errors
/// It is not signed by them.
pub fn verify(token: &str, keys: &[Value]) -> Result<Value, Fault> {
    let parts: Vec<_> = token.split('.').collect();
    let &[header, claims, signature] = &parts[..] else { return Err(Fault::Malformed) };
    let signed = &token.as_bytes()[..header.len() + 1 + claims.len()];
    let decoded = |text: &str| BASE64.decode(text).map_err(|_| Fault::Malformed);
    let object = |text: &str| {
        let value = serde_json::from_slice(&decoded(text)?).ok();
        value.filter(Value::is_object).ok_or(Fault::Malformed)
    };
    let (header, claims, signature) = (object(header)?, object(claims)?, decoded(signature)?);
    // What must be understood and is not.
    if header.get("crit").is_some() {
        return Err(Fault::Malformed);
    }
    let Some(algorithm @ ("RS256" | "ES256")) = header["alg"].as_str() else { return Err(Fault::Algorithm) };
    let named = |key: &&Value| header["kid"].as_str().is_none_or(|id| key["kid"] == id);
    let mut fits = keys.iter().filter(named).filter(|key| is_for(key, algorithm)).peekable();
    if fits.peek().is_none() {
        return Err(Fault::UnknownKey);
    }
    match fits.any(|key| is_signed(key, algorithm, signed, &signature)) {
        true => Ok(claims),
        false => Err(Fault::Signature),
    }
}

/// Whether a JSON Web Key is one that tokens can be verified with.
pub fn is_usable(key: &Value) -> bool {
    is_for(key, "RS256") || is_for(key, "ES256")
}

fn is_for(key: &Value, algorithm: &str) -> bool {
    let says = |name: &str, wanted: &str| key.get(name).is_none_or(|said| said == wanted);
    let kind = match algorithm {
        "RS256" => key["kty"] == "RSA",
        _ => key["kty"] == "EC" && key["crv"] == "P-256",
    };
    kind && says("alg", algorithm) && says("use", "sig")
}

fn is_signed(key: &Value, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
    let part = |name: &str| key[name].as_str().and_then(|text| BASE64.decode(text).ok());
    let valid = match algorithm {
        "RS256" => part("n").zip(part("e")).map(|(n, e)| {
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
        }),
        _ => part("x").zip(part("y")).map(|(x, y)| {
            let point = [&[4], &x[..], &y[..]].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
        }),
    };
    valid.unwrap_or_default()
}
