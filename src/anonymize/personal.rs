//! Which columns look personal, by their names in English or Japanese: a guess, for warnings and drafts.

use super::{Generalize, Technique};

/// What a column seems to hold.
#[derive(Clone, Copy, Debug)]
pub struct Personal {
    /// A key of the fideslang taxonomy.
    pub data_category: &'static str,
    pub certainty: Certainty,
    technique: fn() -> Technique,
}

/// How much a column's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is about a person wherever it stands.
    Sure,
    /// It is about a person where others of its table are; elsewhere about a product or a country.
    InContext,
    /// It may be about a person: somebody has to look.
    Unsure,
}

impl Personal {
    /// The technique to propose, if it fits the column.
    pub fn technique(&self) -> Technique {
        (self.technique)()
    }
}

/// The column seems to tell by itself who somebody is, as a name or a number does; a place, a day or a sex does so only
/// together with others.
pub fn names_one(column: &str) -> bool {
    const TOGETHER: &[&str] = &["user.contact.address", "user.demographic", "user.location"];
    personal(column).is_some_and(|found| !TOGETHER.iter().any(|category| found.data_category.starts_with(category)))
}

/// One sort of personal data and how its columns are called.
struct Sort {
    /// Whole words of a name in Latin letters, Japanese ones written as they sound among them.
    words: &'static [&'static str],
    /// Pieces of a name in Japanese letters, which has no borders between words.
    pieces: &'static [&'static str],
    certainty: Certainty,
    data_category: &'static str,
    technique: fn() -> Technique,
}

const SUPPRESS: fn() -> Technique = || Technique::Suppress;

/// The more telling first.
const SORTS: &[Sort] = &[
    Sort {
        words: &["email", "e_mail", "mail", "mail_address", "mailaddress", "mailaddr", "meru", "meeru"],
        pieces: &["メール"],
        certainty: Certainty::Sure,
        data_category: "user.contact.email",
        technique: || Technique::Replace("erased-{key}@invalid.example".to_owned()),
    },
    Sort {
        words: &[
            "phone",
            "tel",
            "telephone",
            "mobile",
            "cellphone",
            "fax",
            "msisdn",
            "line_number",
            "denwa",
            "denwa_bango",
            "denwabango",
            "keitai",
        ],
        pieces: &["電話", "携帯", "ファックス"],
        certainty: Certainty::Sure,
        data_category: "user.contact.phone_number",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "postal_code",
            "postcode",
            "zip",
            "zip_code",
            "zipcode",
            "yubin",
            "yuubin",
            "yubin_bango",
            "yubinbango",
        ],
        pieces: &["郵便番号"],
        certainty: Certainty::Sure,
        data_category: "user.contact.address.postal_code",
        technique: || Technique::Generalize(Generalize::PostalCode(3)),
    },
    Sort {
        words: &["ip", "ip_address", "ipaddr", "ip_addr", "ipv4", "ipv6", "remote_addr", "client_ip", "forwarded_for"],
        pieces: &["ipアドレス"],
        certainty: Certainty::Sure,
        data_category: "user.device.ip_address",
        technique: || Technique::Generalize(Generalize::IpPrefix { v4: 16, v6: 32 }),
    },
    Sort {
        words: &[
            "user_agent",
            "useragent",
            "device_id",
            "imei",
            "imsi",
            "iccid",
            "sim_number",
            "mac_address",
            "mac_addr",
            "macaddr",
            "idfa",
            "idfv",
            "gaid",
            "aaid",
            "advertising_id",
            "push_token",
            "fingerprint",
        ],
        pieces: &["端末識別", "製造番号", "広告識別"],
        certainty: Certainty::Sure,
        data_category: "user.device",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "cookie",
            "cookies",
            "cookie_id",
            "client_id",
            "visitor_id",
            "session_id",
            "click_id",
            "gclid",
            "gbraid",
            "wbraid",
            "dclid",
            "fbclid",
            "fbp",
            "fbc",
            "yclid",
            "msclkid",
            "ttclid",
            "twclid",
        ],
        pieces: &["クッキー"],
        certainty: Certainty::Sure,
        data_category: "user.device.cookie_id",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "address",
            "addr",
            "street",
            "building",
            "city_block",
            "jusho",
            "juusho",
            "jyusho",
            "banchi",
            "tatemono",
        ],
        pieces: &["住所", "番地", "建物名"],
        certainty: Certainty::Sure,
        data_category: "user.contact.address",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "birth",
            "birthday",
            "birthdate",
            "birth_date",
            "dob",
            "birthyear",
            "seinengappi",
            "tanjobi",
            "tanjoubi",
        ],
        pieces: &["生年月日", "誕生日"],
        certainty: Certainty::Sure,
        data_category: "user.demographic.date_of_birth",
        technique: || Technique::Generalize(Generalize::Year),
    },
    Sort {
        words: &["gender", "sex", "seibetsu"],
        pieces: &["性別"],
        certainty: Certainty::Sure,
        data_category: "user.demographic.gender",
        technique: SUPPRESS,
    },
    Sort {
        words: &["nationality", "kokuseki"],
        pieces: &["国籍"],
        certainty: Certainty::Sure,
        data_category: "user.demographic",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "passport",
            "licence_number",
            "license_number",
            "licence_no",
            "license_no",
            "residence_card",
            "my_number",
            "mynumber",
            "kojin_bango",
            "menkyo",
            "ssn",
            "national_id",
        ],
        pieces: &["旅券", "免許", "マイナンバー", "個人番号", "パスポート"],
        certainty: Certainty::Sure,
        data_category: "user.government_id",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "iban",
            "bic",
            "card_number",
            "card_no",
            "cardnumber",
            "credit_card",
            "creditcard",
            "card_holder",
            "cardholder",
            "card_expiry",
            "cvv",
            "cvc",
            "pan",
            "bank_account",
            "account_number",
            "account_no",
            "account_holder",
            "card_token",
            "payment_token",
            "koza",
            "kouza",
            "koza_bango",
            "kouza_bangou",
            "meigi",
            "meiginin",
        ],
        pieces: &["口座番号", "口座名義", "カード番号", "クレジットカード"],
        certainty: Certainty::Sure,
        data_category: "user.financial",
        technique: SUPPRESS,
    },
    Sort {
        words: &["password", "passwd", "password_hash", "access_token", "refresh_token", "reset_token"],
        pieces: &["パスワード", "暗証番号"],
        certainty: Certainty::Sure,
        data_category: "user.authorization.credentials",
        technique: SUPPRESS,
    },
    Sort {
        words: &["token"],
        pieces: &["トークン"],
        certainty: Certainty::InContext,
        data_category: "user.authorization.credentials",
        technique: SUPPRESS,
    },
    Sort {
        words: &["age", "nenrei"],
        pieces: &["年齢", "年代"],
        certainty: Certainty::Unsure,
        data_category: "user.demographic.age_range",
        technique: SUPPRESS,
    },
    Sort {
        words: &["latitude", "longitude", "geolocation"],
        pieces: &["緯度", "経度"],
        certainty: Certainty::Unsure,
        data_category: "user.location",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "first_name",
            "last_name",
            "full_name",
            "family_name",
            "given_name",
            "middle_name",
            "maiden_name",
            "surname",
            "firstname",
            "lastname",
            "fullname",
            "furigana",
            "yomigana",
            "nickname",
            "username",
            "user_name",
            "customer_name",
            "contact_name",
            "recipient_name",
            "shimei",
            "namae",
            "simei",
        ],
        pieces: &["氏名", "姓名", "お名前", "フリガナ", "ふりがな", "名義人"],
        certainty: Certainty::Sure,
        data_category: "user.name",
        technique: SUPPRESS,
    },
    Sort {
        words: &["name", "kana", "login", "sei", "mei"],
        pieces: &["名前", "カナ", "かな"],
        certainty: Certainty::InContext,
        data_category: "user.name",
        technique: SUPPRESS,
    },
    Sort {
        words: &["photo", "picture", "avatar", "portrait"],
        pieces: &["顔写真", "写真"],
        certainty: Certainty::Unsure,
        data_category: "user.content.self_image",
        technique: SUPPRESS,
    },
    Sort {
        words: &["city", "district", "prefecture", "todofuken", "shikuchoson"],
        pieces: &["都道府県", "市区町村"],
        certainty: Certainty::Unsure,
        data_category: "user.contact.address",
        technique: SUPPRESS,
    },
    Sort {
        words: &[
            "note",
            "notes",
            "memo",
            "comment",
            "comments",
            "remark",
            "remarks",
            "message",
            "body",
            "free_text",
            "biko",
            "bikou",
            "toiawase",
        ],
        pieces: &["備考", "メモ", "コメント", "自由記述", "問い合わせ", "問合せ"],
        certainty: Certainty::Unsure,
        data_category: "user.content",
        technique: SUPPRESS,
    },
];

/// Names that end like a person's data and are not.
const OTHERS: &[&str] = &["product", "file", "table", "category", "plan", "host", "item", "column", "display", "role"];

/// Last words of names that tell something about a person's data instead of holding it.
const ABOUT: &[&str] = &["id", "count", "at", "verified", "flag", "status", "type"];

/// What the column seems to hold; `None` when its name says nothing of a person.
pub fn personal(column: &str) -> Option<Personal> {
    let name = snake_case(column);
    if name.strip_suffix("_name").is_some_and(|of| OTHERS.contains(&of)) {
        return None;
    }
    let (padded, unnumbered) = (format!("_{name}_"), format!("_{}_", without_numbers(&name)));
    let about = name.rsplit_once('_').is_some_and(|(_, last)| ABOUT.contains(&last));
    let says = |sort: &&Sort| {
        let said = |word: &&&str| {
            let word = format!("_{word}_");
            let ends = padded.ends_with(&word) || unnumbered.ends_with(&word);
            (padded.contains(&word) || unnumbered.contains(&word)) && (!about || ends)
        };
        sort.words.iter().find(said).is_some() || sort.pieces.iter().any(|piece| name.contains(piece))
    };
    let found = SORTS.iter().find(says)?;
    let of_a_person = || ["_name", "_kana"].iter().filter_map(|end| name.strip_suffix(end)).any(names_people);
    let certainty = match found.certainty {
        Certainty::InContext if of_a_person() => Certainty::Sure,
        certainty => certainty,
    };
    Some(Personal { data_category: found.data_category, certainty, technique: found.technique })
}

/// The column's name says that its values stand for people who are described elsewhere: `customer_id`, `会員番号`.
pub fn points_at_people(column: &str) -> bool {
    const ENDS: &[&str] = &["_id", "_no", "_number", "_code", "_ref", "_key", "_hash", "_hmac", "_uuid", "_bango"];
    const PIECES: &[&str] = &["番号", "コード", "id"];
    let name = snake_case(column);
    let latin = ENDS.iter().filter_map(|end| name.strip_suffix(end)).any(names_people);
    latin || !name.is_ascii() && PIECES.iter().filter_map(|end| name.strip_suffix(end)).any(names_people)
}

/// `address1` and `tel_2` are what `address` and `tel` are.
fn without_numbers(name: &str) -> String {
    let words = name.split('_').map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The table's name says that its rows are people.
pub fn names_people(table: &str) -> bool {
    const WORDS: &[&str] = &[
        "customer",
        "user",
        "person",
        "people",
        "member",
        "employee",
        "staff",
        "contact",
        "client",
        "patient",
        "guest",
        "subscriber",
        "applicant",
        "recipient",
        "account",
        "actor",
        "author",
        "player",
        "student",
        "visitor",
        "requester",
        "addressee",
        "holder",
        "debtor",
        "suspect",
        "sender",
        "buyer",
        "payer",
        "owner",
        "kokyaku",
        "kaiin",
        "shain",
        "keiyakusha",
        "moshikomisha",
    ];
    const PIECES: &[&str] = &["顧客", "会員", "社員", "従業員", "利用者", "契約者", "申込者", "お客様", "患者"];
    let name = snake_case(table);
    let mut words = name.split('_').map(|word| word.strip_suffix('s').unwrap_or(word));
    words.any(|word| WORDS.contains(&word)) || PIECES.iter().any(|piece| name.contains(piece))
}

/// `firstName`, `First Name` and `FIRST_NAME` become `first_name`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for character in name.chars() {
        if character.is_uppercase() && lower_before {
            snake.push('_');
        }
        lower_before = character.is_lowercase() || character.is_ascii_digit();
        match character {
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => snake.push('_'),
            _ => snake.extend(character.to_lowercase()),
        }
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str) -> Option<&'static str> {
        personal(name).map(|personal| personal.data_category)
    }

    #[test]
    fn names_of_personal_columns_are_seen_however_they_are_written() {
        for name in ["email", "customer_email", "EMail", "contactEmail", "E-Mail", "メールアドレス", "連絡先メール"]
        {
            assert_eq!(category(name), Some("user.contact.email"), "{name}");
        }
        for name in ["birth_date", "date_of_birth", "生年月日", "seinengappi"] {
            assert_eq!(category(name), Some("user.demographic.date_of_birth"), "{name}");
        }
        for name in ["lastName", "氏名", "契約者氏名カナ", "shimei", "SHIMEI_KANA"] {
            assert_eq!(category(name), Some("user.name"), "{name}");
        }
        for name in ["住所1", "address2", "Address 1", "jusho_2"] {
            assert_eq!(category(name), Some("user.contact.address"), "{name}");
        }
        for name in ["gclid", "ga_client_id", "cookieId", "visitor_id"] {
            assert_eq!(category(name), Some("user.device.cookie_id"), "{name}");
        }
        for name in ["card_no", "cardNumber", "クレジットカード番号", "kouza_meigi", "paypal_payment_token"] {
            assert_eq!(category(name), Some("user.financial"), "{name}");
        }
        assert_eq!(category("imei"), Some("user.device"));
        assert_eq!(category("IPアドレス"), Some("user.device.ip_address"));
        assert_eq!(category("自宅電話番号"), Some("user.contact.phone_number"));
        for name in [
            "amount",
            "status",
            "telemetry_count",
            "product_name",
            "shipping",
            "renamed_at",
            "商品名",
            "address_id",
            "email_sent_at",
        ] {
            assert_eq!(category(name), None, "{name}");
        }
    }

    #[test]
    fn a_bare_name_says_little() {
        assert_eq!(personal("name").map(|personal| personal.certainty), Some(Certainty::InContext));
        assert_eq!(personal("debtor_name").map(|personal| personal.certainty), Some(Certainty::Sure));
        assert!(names_people("app_users") && names_people("Customer") && names_people("契約者マスタ"));
        assert!(!names_people("languages") && !names_people("accounting_periods"));
    }
    #[test]
    fn what_stands_for_a_person_points_at_people() {
        for name in ["customer_id", "memberHash", "user_no", "kaiin_bango", "会員番号", "顧客ID"] {
            assert!(points_at_people(name), "{name}");
        }
        for name in ["id", "order_id", "plan_code", "customer", "user_count", "商品番号"] {
            assert!(!points_at_people(name), "{name}");
        }
    }
}
