use super::{identifiers::normalized, *};
use crate::{
    language::node::Node,
    recipients::{Options, retry::Verdict},
};

#[test]
fn normalizes_as_the_guide_and_the_library_say() {
    for (key, text, country, wanted) in [
        ("EMAIL", " Mary@Example.COM\t", None, Some("mary@example.com")),
        ("PHONE", "+1 (555) 987-6543", None, Some("15559876543")),
        ("PHONE", "0015559876543", None, Some("15559876543")),
        ("FN", " Mary-Jane O'Neil 2nd. ", None, Some("maryjaneoneilnd")),
        ("LN", "ÅSTRÖM", None, Some("åström")),
        ("LN", "山田　太郎", None, Some("山田太郎")),
        ("FI", " mary", None, Some("m")),
        ("GEN", "Female", None, Some("f")),
        ("GEN", "x", None, None),
        ("DOBY", "1980", None, Some("1980")),
        ("DOBY", "80", None, None),
        ("DOBM", "7", None, Some("07")),
        ("DOBM", "13", None, None),
        ("DOBD", "31", None, Some("31")),
        ("CT", "San José-1", None, Some("sanjosé")),
        ("CT", "東京", None, Some("東京")),
        ("ST", "C.A.", None, Some("ca")),
        ("ZIP", "94107-1234", Some(" US "), Some("94107")),
        ("ZIP", "EC1A 1BB", None, Some("ec1a1bb")),
        ("COUNTRY", "JP", None, Some("jp")),
        ("COUNTRY", "Japan", None, None),
        ("MADID", "38400000-8CF0-11BD-B23E-10B96E40000D", None, Some("38400000-8cf0-11bd-b23e-10b96e40000d")),
        ("EXTERN_ID", "U-1 a", None, Some("U-1 a")),
    ] {
        assert_eq!(normalized(key, text, country, None).as_deref(), wanted, "{key} {text}");
    }
}

/// The guide's own examples.
#[test]
fn hashes_as_the_guide_does() {
    let column = |key, text| column(key, text, None, None).unwrap();
    assert_eq!(column("EMAIL", "mary@example.com"), "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79");
    assert_eq!(column("PHONE", "15559876543"), "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e");
    assert_eq!(column("EXTERN_ID", "u-1"), "u-1");
}

/// As facebook_business 26.0.3 makes it (`FacebookSession._gen_appsecret_proof`).
#[test]
fn proves_the_apps_secret_as_metas_library_does() {
    let proof = proof(&"app-secret".into(), &"EAA-token".into()).unwrap();
    assert_eq!(proof.expose_secret(), "1e0bb46cda0fe5b7c171258d962c05ff165587360283f49de08842ae0b17fb7c");
}

#[test]
fn codes_count_and_not_statuses() {
    let judged = |status, body: &str, headers: &[(&str, &str)]| judge(&Reply::for_test(status, headers, body));
    let error = |code: u64| format!("{{\"error\": {{\"code\": {code}}}}}");
    for code in [1, 2, 341, 368, 5000, 4, 17, 613, 80003, 80014] {
        assert_eq!(judged(400, &error(code), &[]), Verdict::Retry { after: None }, "{code}");
    }
    for code in [100, 105, 190, 200, 294, 2650, 2655, 1_487_301, 1_487_366] {
        assert_eq!(judged(400, &error(code), &[]), Verdict::Final, "{code}");
    }
    let transient = "{\"error\": {\"code\": 100, \"is_transient\": true}}";
    assert_eq!(judged(400, transient, &[]), Verdict::Retry { after: None });
    let usage = "{\"123\": [{\"type\": \"custom_audience\", \"estimated_time_to_regain_access\": 19}, \
                 {\"type\": \"ads_management\", \"estimated_time_to_regain_access\": 0}]}";
    let usage = [("x-business-use-case-usage", usage), ("retry-after", "5")];
    let wait = Some(Duration::from_secs(19 * 60));
    assert_eq!(judged(400, &error(80003), &usage), Verdict::Retry { after: wait });
    let nothing = [("x-business-use-case-usage", "{\"123\": [{\"estimated_time_to_regain_access\": 0}]}")];
    assert_eq!(judged(400, &error(80003), &nothing), Verdict::Retry { after: None });
    assert_eq!(judged(503, "<html>", &[]), Verdict::Retry { after: None });
}

#[test]
fn settings_name_one_target() {
    let problem = |pairs: &[(&str, Node)]| {
        let pairs = pairs.iter().map(|(key, node)| ((*key).to_owned(), node.clone())).collect();
        let settings = RecipientSettings { options: Options::new(Node::Map(pairs)), ..RecipientSettings::bare(&KIND) };
        (KIND.check)(&settings).err().map(|misfit| (misfit.at, misfit.problem))
    };
    let text = |text: &str| Node::Text(text.to_owned());
    assert_eq!(problem(&[("ad_account", text("act_12"))]), None);
    assert_eq!(problem(&[("audience", text("12")), ("sessions", Node::Bool(true))]), None);
    let both = [("ad_account", text("12")), ("audience", text("12"))];
    for (pairs, at, words) in [
        (&[][..], &[][..], "neither"),
        (&both, &["audience"], "both"),
        (&[("ad_account", text("act_12")), ("sessions", Node::Bool(true))], &["sessions"], "no sessions"),
        (&[("ad_account", text("act_1/../2"))], &["ad_account"], "no ad account"),
        (&[("audience", text("me"))], &["audience"], "no audience"),
        (
            &[("audience", text("1")), ("country_calling_code", text("+81"))],
            &["country_calling_code"],
            "no calling code",
        ),
    ] {
        let (found, problem) = problem(pairs).unwrap();
        assert!(found == at && problem.contains(words), "{words}: {found:?} {problem}");
    }
}

#[test]
fn samples_of_any_form_are_read() {
    let read = |text: &str| samples(&serde_json::from_str(text).unwrap()).into_iter().collect::<Vec<_>>();
    assert_eq!(read("{}"), Vec::<String>::new());
    assert_eq!(read("[\"a\", \"b\"]"), ["a", "b"]);
    assert_eq!(read("{\"0\": \"[\\\"a\\\", \\\"\\\"]\"}"), ["0", "a"]);
    assert_eq!(read("[{\"EMAIL\": \"a\"}]"), ["EMAIL", "a"]);
}
