//! What is remembered of recipients' answers.

use super::subject;
use crate::ledger::on_both;
use jiff::{Timestamp, ToSpan as _};
use std::time::Duration;
use sunset::{
    recipients::{Answer, Grade},
    store::{Pending, Remembered, Store},
};

#[tokio::test]
async fn what_is_settled_stays_and_what_is_pending_is_found_in_time() {
    on_both(|settings| async move {
        let mut store = Store::open(&settings).await.unwrap();
        let now: Timestamp = "2026-11-22T02:30:00Z".parse().unwrap();
        let tags = ["a", "b", "c", "d", "e"].map(|id| subject(&[("customer", id)]).tag());
        let wait = Duration::from_secs(600);
        let answers = [
            Answer::confirmed(Grade::E1).request_id(Some("req_1".into())),
            Answer::accepted("prj_1", wait),
            Answer::accepted("prj_1", wait),
            Answer::refused("no"),
        ];
        let batch = |answers: &[Answer], at| -> Vec<Remembered> {
            tags.iter().zip(answers).map(|(tag, answer)| Remembered::new(*tag, "delete", answer, at)).collect()
        };
        store.remember("shop", &batch(&answers, now)).await.unwrap();
        store.remember("shop", &[]).await.unwrap();
        let known = store.remembered("shop", &tags).await.unwrap();
        assert_eq!(known.len(), 4);
        assert_eq!(known[&tags[0]], batch(&answers, now)[0]);
        assert_eq!(known[&tags[1]].ticket.as_deref(), Some("prj_1"));
        assert_eq!(store.settled("shop", &tags).await.unwrap().keys().collect::<Vec<_>>(), [&tags[0]]);
        assert_eq!(store.remembered("other", &tags).await.unwrap().len(), 0);
        assert_eq!(store.pending("shop", now).await.unwrap(), []);
        let later = now + 10.minutes();
        let mut both = vec![tags[1], tags[2]];
        both.sort_unstable();
        let pending = Pending { ticket: "prj_1".into(), tags: both };
        assert_eq!(store.pending("shop", later).await.unwrap(), [pending]);

        // Later answers: settled stays settled, the first time stays the first.
        let answers = [Answer::unreachable("down", None), Answer::confirmed(Grade::E1), Answer::gone(Grade::E1)];
        store.remember("shop", &batch(&answers, later)).await.unwrap();
        let known = store.settled("shop", &tags).await.unwrap();
        assert_eq!(known[&tags[0]].state, "confirmed");
        assert_eq!((known[&tags[1]].first_asked_at, known[&tags[1]].settled_at), (now, Some(later)));
        assert_eq!(store.pending("shop", later).await.unwrap(), []);
        let counts = store.recipient_counts().await.unwrap();
        let counts: Vec<_> = counts.iter().map(|count| (count.state.as_str(), count.persons, count.oldest)).collect();
        assert_eq!(counts, [("confirmed", 2, now), ("gone", 1, now), ("refused", 1, now)]);
    })
    .await;
}
