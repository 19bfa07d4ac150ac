//! SB Payment Service's messages: requests with their hash code, and replies.

use jiff::{Timestamp, tz};
use quick_xml::{Reader, events::Event};
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// A request: its fields in their order, ended by the hash code. No value holds a sign that XML escapes, or blanks around it.
///
/// The hash code is the SHA-1 of all values and the hash key, one behind the other.
pub fn request(id: &str, fields: &[(&str, &str)], key: &str) -> String {
    let values: String = fields.iter().map(|(_, value)| *value).chain([key]).collect();
    let code = hex::encode(Sha1::digest(values));
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"{id}\">");
    for (name, value) in fields.iter().copied().chain([("sps_hashcode", code.as_str())]) {
        let _ = write!(xml, "<{name}>{value}</{name}>");
    }
    xml + "</sps-api-request>"
}

/// The time of a request, as SB Payment Service writes it: 14 digits, Japan's time.
pub fn time(now: Timestamp) -> String {
    now.to_zoned(tz::offset(9).to_time_zone()).strftime("%Y%m%d%H%M%S").to_string()
}

/// A reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Of which request; errors of parameters come without.
    pub id: Option<String>,
    /// `res_result` is `OK`, and not `NG`.
    pub ok: bool,
    /// `res_err_code`: eight letters and digits, or nothing.
    pub code: Option<String>,
    pub transaction: Option<String>,
}

impl Response {
    /// `None` for what is no reply: another root, a field twice, an unknown result, a document that is cut off or goes on.
    ///
    /// The fields that are read are ASCII. Bytes beyond it, and what follows them in Shift_JIS, cannot be `<`, `>` or `&`, so
    /// each is replaced before the document is read.
    pub fn read(body: &[u8]) -> Option<Self> {
        let text: String = body.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
        let mut reader = Reader::from_str(&text);
        let (mut id, mut fields, mut path) = (None, Vec::<(String, String)>::new(), Vec::<String>::new());
        let mut ended = false;
        loop {
            let event = reader.read_event().ok()?;
            let is_empty = matches!(event, Event::Empty(_));
            match event {
                Event::Start(tag) | Event::Empty(tag) => {
                    let name = tag.name().0.to_owned();
                    match path.len() {
                        0 if ended || name != "sps-api-response" => return None,
                        0 => {
                            let found = tag.try_get_attribute("id").ok()?;
                            id = found.map(|attribute| attribute.value.into_owned());
                        }
                        1 => fields.push((name.clone(), String::new())),
                        // An element in the way: none of the values that are read.
                        2 => fields.last_mut()?.1.push('&'),
                        _ => {}
                    }
                    if is_empty {
                        ended |= path.is_empty();
                    } else {
                        path.push(name);
                    }
                }
                Event::End(_) => {
                    path.pop()?;
                    ended |= path.is_empty();
                }
                Event::Text(text) => match (path.len(), fields.last_mut()) {
                    (0, _) if !text.trim().is_empty() => return None,
                    (2, Some((_, value))) => value.push_str(&text),
                    _ => {}
                },
                Event::GeneralRef(_) | Event::CData(_) if path.len() != 2 => {}
                // Escaped, and so none of the values that are read.
                Event::GeneralRef(_) | Event::CData(_) => fields.last_mut()?.1.push('&'),
                Event::DocType(_) => return None,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if path.is_empty() && ended => break,
                Event::Eof => return None,
            }
        }
        let field = |wanted: &str| {
            let mut found = fields.iter().filter(|(name, _)| name == wanted);
            let value = found.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty());
            if found.next().is_some() { None } else { Some(value.map(str::to_owned)) }
        };
        let ok = match field("res_result")?.as_deref() {
            Some("OK") => true,
            Some("NG") => false,
            _ => return None,
        };
        let code = field("res_err_code")?;
        let is_code = |code: &String| code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if code.as_ref().is_some_and(|code| !is_code(code)) || ok == code.is_some() {
            return None;
        }
        Some(Self { id, ok, code, transaction: field("res_sps_transaction_id")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf %s 30001001c-1key | sha1sum`.
    #[test]
    fn a_request_ends_with_the_digest_of_its_values() {
        let fields = [("merchant_id", "30001"), ("service_id", "001"), ("cust_code", "c-1")];
        let xml = request("MG02-00103-101", &fields, "key");
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"MG02-00103-101\"><merchant_id>30001</merchant_id>\
             <service_id>001</service_id><cust_code>c-1</cust_code><sps_hashcode>d17637ee266ae12bc42577eea3c440103100614d</sps_hashcode></sps-api-request>"
        );
    }

    #[test]
    fn time_is_japans() {
        assert_eq!(time("2026-11-30T15:04:05Z".parse().unwrap()), "20261201000405");
    }

    /// The form of replies that were recorded at the test system.
    const OK: &str = "<?xml version='1.0' encoding='Shift_JIS' ?>\n  <sps-api-response id=\"MG02-00104-101\">\n    \
                      <res_result>OK</res_result>\n    <res_sps_transaction_id>B30001001MG020010410100361052598</res_sps_transaction_id>\n    \
                      <res_pay_method_info>\n      <cc_number>************4242</cc_number>\n      <resrv2/>\n    \
                      </res_pay_method_info>\n    <res_err_code/>\n    <res_date>20171127193717</res_date>\n  </sps-api-response>\n";
    const NG: &str = "<?xml version='1.0' encoding='Shift_JIS' ?>\n  <sps-api-response>\n    <res_result>NG</res_result>\n    \
                      <res_err_code>10195999</res_err_code>\n    <res_date>20171127193708</res_date>\n  </sps-api-response>\n";

    #[test]
    fn replies_are_read() {
        let ok = Response::read(OK.as_bytes()).unwrap();
        assert_eq!((ok.id.as_deref(), ok.ok, ok.code), (Some("MG02-00104-101"), true, None));
        assert_eq!(ok.transaction.as_deref(), Some("B30001001MG020010410100361052598"));
        let ng = Response::read(NG.as_bytes()).unwrap();
        assert_eq!((ng.id, ng.ok, ng.code.as_deref()), (None, false, Some("10195999")));
        // "テ" and "表", whose second bytes are letters of ASCII in Shift_JIS.
        let mut shift_jis = OK.replace("<resrv2/>", "<resrv2>XY</resrv2>").into_bytes();
        let at = shift_jis.windows(2).position(|pair| pair == b"XY").unwrap();
        shift_jis.splice(at..at + 2, [0x83, 0x65, 0x95, 0x5C]);
        assert!(Response::read(&shift_jis).unwrap().ok);
    }

    #[test]
    fn what_is_no_reply_is_not_read() {
        let code = "<res_err_code>10195999</res_err_code>";
        for body in [
            String::new(),
            "10195999".to_owned(),
            "{\"res_err_code\": \"10195999\"}".to_owned(),
            NG.replace("sps-api-response", "html"),
            NG.replace("<res_result>NG</res_result>", ""),
            NG.replace(">NG<", ">OK<"),
            NG.replace(">NG<", "> <"),
            NG.replace(code, ""),
            NG.replace(code, "<res_err_code/>"),
            NG.replace(code, &format!("{code}{code}")),
            NG.replace(code, &format!("{code}<res_err_code>10105202</res_err_code>")),
            NG.replace(code, &format!("<x>{code}</x>")),
            NG.replace("10195999", "10195999<x/>"),
            NG.replace("10195999", "10195999<x>1</x>"),
            NG.replace("10195999", "1019599"),
            NG.replace("10195999", "<![CDATA[10195999]]>"),
            NG.replace("10195999", "&#49;0195999"),
            NG.replace("</sps-api-response>", ""),
            NG.replace("</res_result>", "</res_results>"),
            format!("{NG}<x/>"),
            format!("{NG}{NG}"),
            format!("{NG}text"),
            format!("<!DOCTYPE x [<!ENTITY y \"z\">]>{NG}"),
            OK.replace(">OK<", ">NG<"),
            OK.replace("<res_err_code/>", code),
        ] {
            assert_eq!(Response::read(body.as_bytes()), None, "{body}");
        }
    }
}
