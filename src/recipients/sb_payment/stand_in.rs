//! A stand-in of SB Payment Service's API type: customers of a service, looked up and deleted.
//!
//! After the calls that <https://github.com/wozaki/sbpayment.rb> recorded, and its list of codes. The merchant is 30001 and the service
//! 001; every key is known but those that contain `wrong`, and the hash key is the password of HTTP Basic. Fields have to stand in
//! their order.
//!
//! Seed: `{"customers": ["c-1"], "sticky": true}`. When `sticky`, a deletion is answered with `OK` and does nothing.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use jiff::{Timestamp, civil::DateTime, tz};
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use std::collections::BTreeSet;

pub static STAND_IN: StandIn = StandIn {
    name: "sb_payment",
    make: || Box::new(SbPayment::default()),
    settings: "  sb_payment:\n    url: {url}\n    merchant_id: \"30001\"\n    service_id: \"001\"\n    hash_key: \
               \"${SBPS_HASH_KEY}\"  # anything without \"wrong\" in it\n",
};

const ROUTE: &str = "/api/xmlapi.do";
const DELETE: &str = "MG02-00103-101";
const LOOK_UP: &str = "MG02-00104-101";

#[derive(Default)]
struct SbPayment {
    customers: BTreeSet<String>,
    sticky: bool,
    calls: u64,
}

/// A request in XML.
struct Message {
    id: String,
    fields: Vec<(String, String)>,
}

impl Message {
    /// `None` where it is not written as the documents show it.
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"")?;
        let (id, rest) = rest.split_once("\">")?;
        let mut rest = rest.strip_suffix("</sps-api-request>")?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (name, after) = rest.strip_prefix('<')?.split_once('>')?;
            let (value, after) = after.split_once(&format!("</{name}>"))?;
            if value.contains(['<', '>', '&']) || value.trim() != value || !value.is_ascii() {
                return None;
            }
            fields.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
        Some(Self { id: id.to_owned(), fields })
    }

    fn get(&self, wanted: &str) -> &str {
        self.fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
    }
}

impl SbPayment {
    /// Ends with the id that errors come with, if any, and their code.
    fn ask(&mut self, message: &Message, key: &str) -> Result<String, (bool, &'static str)> {
        let order: &[&str] = match message.id.as_str() {
            DELETE => &["sps_cust_info_return_flg", "encrypted_flg", "request_date", "limit_second"],
            LOOK_UP => {
                &["sps_cust_info_return_flg", "response_info_type", "encrypted_flg", "request_date", "limit_second"]
            }
            _ => return Err((false, "10102000")),
        };
        let order: Vec<_> =
            ["merchant_id", "service_id", "cust_code"].iter().chain(order).chain(&["sps_hashcode"]).collect();
        if !message.fields.iter().map(|(name, _)| name).eq(order) {
            return Err((false, "10100999"));
        }
        if (message.get("merchant_id"), message.get("service_id")) != ("30001", "001") {
            return Err((false, "10114001"));
        }
        if !matches!(message.get("cust_code").len(), 1..=64) {
            return Err((false, "10105003"));
        }
        if message.get("encrypted_flg") != "0" || !["0", "1"].contains(&message.get("sps_cust_info_return_flg")) {
            return Err((false, "10107028"));
        }
        let values: String = message.fields.iter().rev().skip(1).rev().map(|(_, value)| value.as_str()).collect();
        if message.get("sps_hashcode") != hex::encode(Sha1::digest(values + key)) {
            return Err((false, "10109025"));
        }
        if !is_now(message.get("request_date"), message.get("limit_second")) {
            return Err((false, "10110023"));
        }
        let customer = message.get("cust_code");
        if !self.customers.contains(customer) {
            return Err((true, "10195999"));
        }
        if message.id == LOOK_UP {
            return Ok("<res_pay_method_info>\n<cc_number>************4242</cc_number>\n<cc_expiration>203001</cc_expiration>\n\
                       </res_pay_method_info>\n"
                .to_owned());
        }
        if !self.sticky {
            self.customers.remove(customer);
        }
        Ok(String::new())
    }
}

/// The request was made within its time, by Japan's clocks.
fn is_now(date: &str, limit: &str) -> bool {
    let Ok(limit) = limit.parse::<i64>() else { return false };
    let date = DateTime::strptime("%Y%m%d%H%M%S", date).ok().filter(|_| date.len() == 14);
    let moment = date.and_then(|date| date.to_zoned(tz::offset(9).to_time_zone()).ok());
    moment.is_some_and(|moment| (Timestamp::now().as_second() - moment.timestamp().as_second()).abs() <= limit)
}

impl Vendor for SbPayment {
    fn answer(&mut self, request: &Request) -> Response {
        self.calls += 1;
        if request.path != ROUTE || request.method != "POST" {
            return Response::empty("(unknown)", 404);
        }
        let key = request.basic().filter(|(user, key)| user == "30001001" && !key.is_empty() && !key.contains("wrong"));
        let Some((_, key)) = key else {
            return Response::empty(ROUTE, 401).header("www-authenticate", "Basic");
        };
        let kind = request.header("content-type").unwrap_or_default();
        let message = std::str::from_utf8(&request.body).ok().filter(|_| kind == "text/xml; charset=Shift_JIS");
        let message = message.and_then(Message::read);
        let (id, result) = match &message {
            Some(message) => (message.id.clone(), self.ask(message, &key)),
            None => (String::new(), Err((false, "99900999"))),
        };
        let route = match id.as_str() {
            DELETE => "MG02-00103-101",
            LOOK_UP => "MG02-00104-101",
            _ => ROUTE,
        };
        let begin = "<?xml version='1.0' encoding='Shift_JIS' ?>\n";
        let body = match result {
            Ok(own) => format!(
                "{begin}  <sps-api-response id=\"{id}\">\n<res_result>OK</res_result>\n<res_sps_transaction_id>B30001001{}{:017}\
                 </res_sps_transaction_id>\n{own}<res_process_date>20261122113000</res_process_date>\n<res_err_code/>\n\
                 <res_date>20261122113000</res_date>\n  </sps-api-response>\n",
                id.replace('-', ""),
                self.calls
            ),
            Err((named, code)) => {
                let id = if named { format!(" id=\"{id}\"") } else { String::new() };
                format!(
                    "{begin}  <sps-api-response{id}>\n<res_result>NG</res_result>\n<res_err_code>{code}</res_err_code>\n\
                     <res_date>20261122113000</res_date>\n  </sps-api-response>\n"
                )
            }
        };
        let headers = vec![("content-type", "text/xml;charset=Shift_JIS".to_owned())];
        Response { status: 200, headers, body: body.into_bytes(), route }
    }

    fn seed(&mut self, seed: &Value) {
        let customers = seed["customers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.customers.extend(customers.map(str::to_owned));
        self.sticky = seed["sticky"].as_bool().unwrap_or(self.sticky);
    }

    /// None is documented.
    fn limits(&mut self, _: bool) {}
}
