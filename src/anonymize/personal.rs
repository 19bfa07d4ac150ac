//! Which columns look personal, by their names: a guess, for warnings and drafts.

/// What a column seems to hold, as a key of the fideslang taxonomy, and the technique to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personal {
    pub data_category: &'static str,
    /// As a rule file writes it.
    pub technique: &'static str,
}

/// Parts of names, the more telling first; a part matches whole words between underscores or capitals.
const PARTS: &[(&[&str], &str, &str)] = &[
    (
        &["email", "e_mail", "mail_address", "mailaddress"],
        "user.contact.email",
        "{replace: \"erased-{key}@invalid.example\"}",
    ),
    (&["phone", "tel", "telephone", "mobile", "fax", "msisdn"], "user.contact.phone_number", "suppress"),
    (
        &["postal_code", "postcode", "zip", "zip_code", "zipcode"],
        "user.contact.address.postal_code",
        "{generalize: {postal_code: 3}}",
    ),
    (
        &["address", "addr", "address1", "address2", "street", "building", "city_block"],
        "user.contact.address",
        "suppress",
    ),
    (
        &["birth", "birthday", "birthdate", "birth_date", "dob", "date_of_birth"],
        "user.demographic.date_of_birth",
        "{generalize: year}",
    ),
    (&["gender", "sex"], "user.demographic.gender", "suppress"),
    (
        &["ip", "ip_address", "ipaddr", "remote_addr", "client_ip"],
        "user.device.ip_address",
        "{generalize: {ip_prefix: {v4: 16, v6: 32}}}",
    ),
    (&["user_agent", "cookie", "device_id", "imei", "imsi", "iccid", "mac_address"], "user.device", "suppress"),
    (
        &["passport", "licence_number", "license_number", "my_number", "ssn", "national_id"],
        "user.government_id",
        "suppress",
    ),
    (&["iban", "bic", "card_number", "pan", "bank_account", "account_number"], "user.financial", "suppress"),
    (&["password", "passwd", "password_hash"], "user.authorization.credentials", "suppress"),
    (&["latitude", "longitude", "geolocation"], "user.location", "suppress"),
    (
        &[
            "name",
            "first_name",
            "last_name",
            "full_name",
            "family_name",
            "given_name",
            "middle_name",
            "surname",
            "kana",
            "furigana",
            "nickname",
            "username",
            "user_name",
            "login",
        ],
        "user.name",
        "suppress",
    ),
    (&["note", "notes", "memo", "comment", "comments", "remark", "remarks", "message"], "user.content", "suppress"),
];

/// Names that end like a person's data and are not.
const OTHERS: &[&str] = &["product_name", "file_name", "table_name", "category_name", "plan_name", "host_name"];

/// What the column seems to hold; `None` when its name says nothing of a person.
pub fn personal(column: &str) -> Option<Personal> {
    let name = snake_case(column);
    if OTHERS.contains(&name.as_str()) {
        return None;
    }
    let padded = format!("_{name}_");
    PARTS
        .iter()
        .find(|(parts, _, _)| parts.iter().any(|part| padded.contains(&format!("_{part}_"))))
        .map(|(_, data_category, technique)| Personal { data_category, technique })
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

    #[test]
    fn names_of_personal_columns_are_seen_however_they_are_written() {
        let category = |name: &str| personal(name).map(|personal| personal.data_category);
        for name in ["email", "customer_email", "EMail", "contactEmail", "E-Mail"] {
            assert!(["user.contact.email"].contains(&category(name).unwrap_or(name)), "{name}");
        }
        assert_eq!(category("birth_date"), Some("user.demographic.date_of_birth"));
        assert_eq!(category("lastName"), Some("user.name"));
        for name in ["amount", "status", "telemetry_count", "product_name", "shipping", "renamed_at"] {
            assert_eq!(category(name), None, "{name}");
        }
    }
}
