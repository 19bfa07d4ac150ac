//! What is remembered of recipients' answers.

use super::subject;
use crate::ledger::on_both;
use jiff::{Timestamp, ToSpan as _};
use std::time::Duration;
use sunset::{
    evidence::Grade,
    recipients::Answer,
    store::{Pending, Remembered, Store, Validity},
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
        let known = store.remembered("shop", &tags, Validity::ALWAYS).await.unwrap();
        assert_eq!(known.len(), 4);
        assert_eq!(known[&tags[0]], batch(&answers, now)[0]);
        assert_eq!(known[&tags[1]].ticket.as_deref(), Some("prj_1"));
        assert_eq!(
            store.settled("shop", &tags, Validity::ALWAYS).await.unwrap().keys().collect::<Vec<_>>(),
            [&tags[0]]
        );
        assert_eq!(store.remembered("other", &tags, Validity::ALWAYS).await.unwrap().len(), 0);
        assert_eq!(store.pending("shop", now).await.unwrap(), []);
        let later = now + 10.minutes();
        let mut both = vec![tags[1], tags[2]];
        both.sort_unstable();
        let pending = Pending { ticket: "prj_1".into(), tags: both, is_refused: false, sources: [None].into() };
        assert_eq!(store.pending("shop", later).await.unwrap(), [pending]);

        // Later answers: settled stays settled, the first time stays the first.
        let answers = [Answer::unreachable("down", None), Answer::confirmed(Grade::E1), Answer::gone(Grade::E1)];
        store.remember("shop", &batch(&answers, later)).await.unwrap();
        let known = store.settled("shop", &tags, Validity::ALWAYS).await.unwrap();
        assert_eq!(known[&tags[0]].state, "confirmed");
        assert_eq!((known[&tags[1]].first_asked_at, known[&tags[1]].settled_at), (now, Some(later)));
        assert_eq!(store.pending("shop", later).await.unwrap(), []);
        let counts = store.recipient_counts().await.unwrap();
        let counts: Vec<_> = counts.iter().map(|count| (count.state.as_str(), count.persons, count.oldest)).collect();
        assert_eq!(counts, [("confirmed", 2, now), ("gone", 1, now), ("refused", 1, now)]);
    })
    .await;
}

/// Who comes back after the row has gone is asked about in a new asking; so is, some time later, whoever's row stays.
#[tokio::test]
async fn an_answer_ends_with_its_row_and_with_its_time() {
    on_both(|settings| async move {
        let mut store = Store::open(&settings).await.unwrap();
        let now: Timestamp = "2026-11-22T02:30:00Z".parse().unwrap();
        let tag = subject(&[("customer", "a")]).tag();
        let in_run = |run| Validity { since: now, run: Some(run) };
        let first = store
            .begin_asking("shop", (&[tag], "core.t: id = id"), now, in_run("one"))
            .await
            .unwrap()
            .remove(&tag)
            .unwrap();
        assert_eq!((first.since, first.number, first.explains_gone()), (now, 1, false));

        // Killed before there was an answer: the same asking, and nobody wonders that the copy is gone.
        let later = now + 1.hours();
        let again = store
            .begin_asking("shop", (&[tag], "core.t: id = id"), later, in_run("two"))
            .await
            .unwrap()
            .remove(&tag)
            .unwrap();
        assert_eq!((again.since, again.number, again.explains_gone()), (now, 1, true));

        let answer = Remembered::new(tag, "delete", &Answer::confirmed(Grade::E1), later);
        store.remember("shop", &[answer]).await.unwrap();
        assert_eq!(store.remembered("shop", &[tag], in_run("two")).await.unwrap().len(), 1);
        store.use_up("shop", &[tag], "two", later).await.unwrap();
        assert_eq!(
            store.remembered("shop", &[tag], in_run("two")).await.unwrap().len(),
            1,
            "for other rows of the run"
        );
        assert_eq!(store.remembered("shop", &[tag], in_run("three")).await.unwrap().len(), 0);
        let back = store
            .begin_asking("shop", (&[tag], "core.t: id = id"), later, in_run("three"))
            .await
            .unwrap()
            .remove(&tag)
            .unwrap();
        assert_eq!((back.since, back.number), (later, 2));

        let answer = Remembered::new(tag, "delete", &Answer::confirmed(Grade::E1), later);
        store.remember("shop", &[answer]).await.unwrap();
        let expired = Validity { since: later + 1.seconds(), run: Some("four") };
        assert_eq!(store.remembered("shop", &[tag], expired).await.unwrap().len(), 0);
        let anew = store
            .begin_asking("shop", (&[tag], "core.t: id = id"), later + 1.hours(), expired)
            .await
            .unwrap()
            .remove(&tag)
            .unwrap();
        assert_eq!((anew.number, anew.explains_gone()), (3, true));
    })
    .await;
}

/// Work that was refused stays so, whatever the recipient forgets since, until a person says that it is asked for anew.
#[tokio::test]
async fn a_refusal_of_accepted_work_stays() {
    on_both(|settings| async move {
        let mut store = Store::open(&settings).await.unwrap();
        let now: Timestamp = "2026-11-22T02:30:00Z".parse().unwrap();
        let tag = subject(&[("customer", "a")]).tag();
        store.begin_asking("shop", (&[tag], "core.t: id = id"), now, Validity::ALWAYS).await.unwrap();
        let accepted = Answer::accepted("job-1", Duration::ZERO);
        store.remember("shop", &[Remembered::new(tag, "delete", &accepted, now)]).await.unwrap();
        store.keep_waiting("shop", "job-1", &Answer::unreachable("down", None), now).await.unwrap();
        let known = store.remembered("shop", &[tag], Validity::ALWAYS).await.unwrap().remove(&tag).unwrap();
        assert_eq!((known.state.as_str(), known.grade, known.is_open()), ("unreachable", Some(Grade::E2), false));
        store.keep_waiting("shop", "job-1", &Answer::refused("it failed"), now).await.unwrap();
        store.keep_waiting("shop", "job-1", &Answer::unreachable("down", None), now).await.unwrap();
        let known = store.remembered("shop", &[tag], Validity::ALWAYS).await.unwrap().remove(&tag).unwrap();
        assert_eq!((known.state.as_str(), known.grade, known.is_open()), ("refused", None, false));
        assert_eq!(known.reason.as_deref(), Some("it failed"));
        assert!(store.pending("shop", now).await.unwrap()[0].is_refused);
    })
    .await;
}
