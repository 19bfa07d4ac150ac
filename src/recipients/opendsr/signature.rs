//! Who signed an OpenDSR answer or callback: the processor's certificate, and its signature over the raw body.
//!
//! Checked, by `rustls-webpki`: the chain from the certificate to an authority that is trusted (the system's, or the one that
//! the settings name), each certificate's dates, the extended key usage (a server's, where there is one), that the
//! certificate is no authority's and so not self-signed, that its subject alternative names hold the processor's domain, and
//! the signature (RSA PKCS #1 or PSS with SHA-256, ECDSA on P-256 or P-384 with SHA-256) over the bytes of the body.
//!
//! Not checked: revocation (lists and responders are on hosts that the settings do not name; the certificate is fetched anew
//! by each run instead), the key usage `digitalSignature` (the library does not read it), and DSA signatures, which FIPS 186-4
//! has too and nobody trusts any more.

use super::Status;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject as _,
};
use serde_json::Value;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring as algorithms};

/// OpenDSR 2.0, OpenCompliance 1.0 and OpenGDPR 0.1: "all parties MUST honor the prior versions named routes and headers".
/// The spelling of the oldest is that of `OpenGDPR_specification.md` 0.1.4.
const PREFIXES: [&str; 3] = ["x-opendsr-", "x-opencompliance-", "x-opengdpr-"];

/// For certificates.
const CHAIN: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// For bodies: over their SHA-256.
const BODY: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA256,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
];

/// Why nobody can say who answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no signature")]
    Unsigned,
    #[error("another processor's domain")]
    Domain,
    /// Without what stands in it.
    #[error("the certificate cannot be trusted: {0}")]
    Certificate(&'static str),
    #[error("the signature is not valid")]
    Signature,
}

/// Whom to trust about certificates.
#[derive(Clone, Debug)]
pub struct Authorities(Vec<TrustAnchor<'static>>);

impl Authorities {
    /// Those of the system.
    ///
    /// # Errors
    /// There are none.
    pub fn of_system() -> Result<Self, String> {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let anchors: Vec<_> = certificates.iter().filter_map(anchor).collect();
        if anchors.is_empty() {
            Err("the system trusts no certificate authority".to_owned())
        } else {
            Ok(Self(anchors))
        }
    }

    /// One or more certificates, as PEM or the base64 text of one.
    ///
    /// # Errors
    /// The text is neither.
    pub fn read(text: &str) -> Result<Self, String> {
        let certificates = certificates(text.as_bytes())
            .or_else(|| Some(vec![STANDARD.decode(text.split_whitespace().collect::<String>()).ok()?.into()]));
        let anchors = certificates.unwrap_or_default().iter().map(anchor).collect::<Option<Vec<_>>>();
        match anchors.filter(|anchors| !anchors.is_empty()) {
            Some(anchors) => Ok(Self(anchors)),
            None => Err("the certificate authority is no certificate".to_owned()),
        }
    }
}

fn anchor(certificate: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    anchor_from_trusted_cert(certificate).ok().map(|anchor| anchor.to_owned())
}

/// `None` where there is no PEM, or none of certificates alone.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

/// A processor that signs: its domain, its certificate, and who vouches for it.
#[derive(Clone, Debug)]
pub struct Processor {
    domain: String,
    /// Its own, then those between it and the authority.
    chain: Vec<CertificateDer<'static>>,
    authorities: Authorities,
}

impl Processor {
    /// `certificate` is what `processor_certificate` names: PEM, perhaps with intermediate certificates behind the first;
    /// DER is taken too.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn new(domain: &str, certificate: &[u8], authorities: Authorities) -> Result<Self, Fault> {
        let der = || certificate.starts_with(&[0x30]).then(|| vec![CertificateDer::from(certificate.to_vec())]);
        let chain = certificates(certificate).or_else(der).ok_or(Fault::Certificate("it is none"))?;
        Ok(Self { domain: domain.to_ascii_lowercase(), chain, authorities })
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The certificate is the processor's, and good at this time.
    ///
    /// # Errors
    /// [`Fault::Certificate`].
    pub fn check(&self, now: Timestamp) -> Result<(), Fault> {
        self.trusted(now).map(drop)
    }

    fn trusted(&self, now: Timestamp) -> Result<EndEntityCert<'_>, Fault> {
        let fault = |error: webpki::Error| {
            Fault::Certificate(match error {
                webpki::Error::CertExpired { .. } => "it has expired",
                webpki::Error::CertNotValidYet { .. } => "it is not valid yet",
                webpki::Error::CertNotValidForName(_) => "it is not for the processor's domain",
                webpki::Error::UnknownIssuer => "no trusted authority issued it",
                webpki::Error::CaUsedAsEndEntity => "it is an authority's own",
                webpki::Error::RequiredEkuNotFoundContext(_) => "it is for another use",
                _ => "it cannot be verified",
            })
        };
        let (own, between) = self.chain.split_first().ok_or(Fault::Certificate("it is none"))?;
        let certificate = EndEntityCert::try_from(own).map_err(fault)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().unsigned_abs()));
        let usage = KeyUsage::server_auth();
        certificate.verify_for_usage(CHAIN, &self.authorities.0, between, now, usage, None, None).map_err(fault)?;
        let name = ServerName::try_from(self.domain.as_str()).map_err(|_| Fault::Domain)?;
        certificate.verify_is_valid_for_subject_name(&name).map_err(fault)?;
        Ok(certificate)
    }

    /// The processor has signed this body: domain, then certificate, then signature, before anybody reads the body.
    ///
    /// # Errors
    /// It has not, or nobody can say so.
    pub fn verify<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let domain = named(&header, "processor-domain").ok_or(Fault::Unsigned)?;
        if !domain.trim().eq_ignore_ascii_case(&self.domain) {
            return Err(Fault::Domain);
        }
        let certificate = self.trusted(now)?;
        let (signature, body) = match named(&header, "signature") {
            Some(signature) => (signature.to_owned(), body.to_vec()),
            None => signature_within(body).ok_or(Fault::Unsigned)?,
        };
        // The document's examples break the text into lines.
        let signature = STANDARD.decode(signature.split_whitespace().collect::<String>());
        let signature = signature.map_err(|_| Fault::Signature)?;
        let valid = BODY.iter().any(|way| certificate.verify_signature(*way, &body, &signature).is_ok());
        if valid { Ok(()) } else { Err(Fault::Signature) }
    }
}

fn named<'a>(header: impl Fn(&str) -> Option<&'a str>, name: &str) -> Option<&'a str> {
    PREFIXES.iter().find_map(|prefix| header(&format!("{prefix}{name}")))
}

/// `processor_signature` in a body, and the body without it.
///
/// The document wants the "signature of the SHA 256 digest of the body of the response" as a member of that very body, and
/// all its examples have it in the header alone. Where there is no header, the signature can only be over what is left
/// without the member. Exactly that member and one comma are cut out, so that nothing unsigned remains.
fn signature_within(body: &[u8]) -> Option<(String, Vec<u8>)> {
    const MEMBER: &str = "\"processor_signature\"";
    let text = std::str::from_utf8(body).ok()?;
    let start = text.find(MEMBER)?;
    let after = text[start + MEMBER.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let signature = &after[..after.find('"')?];
    if !signature.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
        return None;
    }
    let (before, after) = (text[..start].trim_end(), after[signature.len() + 1..].trim_start());
    let rest = match (before.strip_suffix(','), after.strip_prefix(',')) {
        (Some(before), _) => [before, after].concat(),
        (None, Some(after)) => [before, after.trim_start()].concat(),
        (None, None) => return None,
    };
    Some((signature.to_owned(), rest.into_bytes()))
}

/// What a processor tells about a request, unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// `subject_request_id`, which is the ticket of the accepted work.
    pub request: String,
    pub status: Status,
}

/// Why a callback is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the processor is not known")]
    Unknown,
    #[error("the processor's certificate cannot be trusted")]
    Certificate,
    #[error("the signature is not valid")]
    Signature,
    #[error("the body is no callback")]
    Body,
    #[error("the callback is for another address")]
    Address,
}

impl Rejection {
    /// The HTTP status to answer with, after `security_guidelines.md`. (`specification.md` §8.8 says 403 for all that is
    /// about validation; what was written for those who implement it counts here.) A callback that is taken is answered
    /// with 202.
    pub fn status(self) -> u16 {
        match self {
            Self::Unknown | Self::Certificate => 401,
            Self::Signature | Self::Body | Self::Address => 400,
        }
    }
}

/// Reads a callback that one of these processors has signed, in the order that the documents prescribe: the domain must be
/// one of theirs, then certificate, then signature over the raw body, and only then the body is read. `header` gives a
/// header by its name in small letters; `address` is the URL that the request asked to call back.
///
/// # Errors
/// It is not taken.
pub fn callback<'a>(
    processors: &[Processor],
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    address: &str,
    now: Timestamp,
) -> Result<Callback, Rejection> {
    let domain = named(&header, "processor-domain").ok_or(Rejection::Unknown)?;
    let processor = processors.iter().find(|processor| processor.domain.eq_ignore_ascii_case(domain.trim()));
    processor.ok_or(Rejection::Unknown)?.verify(header, body, now).map_err(|fault| match fault {
        Fault::Domain => Rejection::Unknown,
        Fault::Certificate(_) => Rejection::Certificate,
        Fault::Unsigned | Fault::Signature => Rejection::Signature,
    })?;
    let body: Value = serde_json::from_slice(body).map_err(|_| Rejection::Body)?;
    let request = body["subject_request_id"].as_str().filter(|id| super::is_uuid(id)).ok_or(Rejection::Body)?;
    if body["status_callback_url"] != address {
        return Err(Rejection::Address);
    }
    let status = Status::read(&body).ok_or(Rejection::Body)?;
    Ok(Callback { request: request.to_owned(), status })
}
