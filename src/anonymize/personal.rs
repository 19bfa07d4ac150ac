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
        words: &["email", "e_mail", "mail", "mail_address", "mailaddress", "meru", "meeru"],
        pieces: &["メール"],
        certainty: Certainty::Sure,
        data_category: "user.contact.email",
        technique: || Technique::Replace("erased-{key}@invalid.example".to_owned()),
    },
    Sort {
        words: &["phone", "tel", "telephone", "mobile", "fax", "msisdn", "denwa", "denwa_bango", "keitai"],
        pieces: &["電話", "携帯", "ファックス"],
        certainty: Certainty::Sure,
        data_category: "user.contact.phone_number",
        technique: SUPPRESS,
    },
    Sort {
        words: &["postal_code", "postcode", "zip", "zip_code", "zipcode", "yubin", "yuubin", "yubin_bango"],
        pieces: &["郵便番号"],
        certainty: Certainty::Sure,
        data_category: "user.contact.address.postal_code",
        technique: || Technique::Generalize(Generalize::PostalCode(3)),
    },
    Sort {
        words: &["ip", "ip_address", "ipaddr", "ip_addr", "remote_addr", "client_ip"],
        pieces: &["ipアドレス"],
        certainty: Certainty::Sure,
        data_category: "user.device.ip_address",
        technique: || Technique::Generalize(Generalize::IpPrefix { v4: 16, v6: 32 }),
    },
    Sort {
        words: &["user_agent", "cookie", "device_id", "imei", "imsi", "iccid", "mac_address"],
        pieces: &["端末識別", "クッキー"],
        certainty: Certainty::Sure,
        data_category: "user.device",
        technique: SUPPRESS,
    },
    Sort {
        words: &["address", "addr", "address1", "address2", "street", "building", "city_block", "jusho", "juusho"],
        pieces: &["住所", "番地", "建物名"],
        certainty: Certainty::Sure,
        data_category: "user.contact.address",
        technique: SUPPRESS,
    },
    Sort {
        words: &["birth", "birthday", "birthdate", "birth_date", "dob", "seinengappi", "tanjobi"],
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
        words: &["passport", "licence_number", "license_number", "my_number", "mynumber", "ssn", "national_id"],
        pieces: &["旅券", "免許", "マイナンバー", "個人番号", "パスポート"],
        certainty: Certainty::Sure,
        data_category: "user.government_id",
        technique: SUPPRESS,
    },
    Sort {
        words: &["iban", "bic", "card_number", "pan", "bank_account", "account_number", "koza_bango", "kouza_bangou"],
        pieces: &["口座番号", "口座名義", "カード番号"],
        certainty: Certainty::Sure,
        data_category: "user.financial",
        technique: SUPPRESS,
    },
    Sort {
        words: &["password", "passwd", "password_hash"],
        pieces: &["パスワード", "暗証番号"],
        certainty: Certainty::Sure,
        data_category: "user.authorization.credentials",
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
        words: &["note", "notes", "memo", "comment", "comments", "remark", "remarks", "message", "biko", "bikou"],
        pieces: &["備考", "メモ", "コメント"],
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
    let padded = format!("_{name}_");
    let about = name.rsplit_once('_').is_some_and(|(_, last)| ABOUT.contains(&last));
    let says = |sort: &&Sort| {
        let said = |word: &&&str| padded.contains(&format!("_{word}_")) && (!about || name.ends_with(**word));
        sort.words.iter().find(said).is_some() || sort.pieces.iter().any(|piece| name.contains(piece))
    };
    SORTS.iter().find(says).map(|sort| Personal {
        data_category: sort.data_category,
        certainty: sort.certainty,
        technique: sort.technique,
    })
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
        "kokyaku",
        "kaiin",
        "shain",
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
            ' ' | '-' | '.' => snake.push('_'),
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
        assert_eq!(category("住所1"), Some("user.contact.address"));
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
        assert!(names_people("app_users") && names_people("Customer") && names_people("契約者マスタ"));
        assert!(!names_people("languages") && !names_people("accounting_periods"));
    }
}
