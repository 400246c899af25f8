//! Records that can never be stored.

use super::*;

fn refuse_b(payload: &Delivery) -> Reply {
    let verdict = |record: &String| match record.as_str() {
        "b" => Verdict::Refused { reason: "mapping conflict".to_owned() },
        _ => Verdict::Delivered,
    };
    (Duration::ZERO, Verdicts::Each(payload.records.iter().map(verdict).collect()))
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_kept_before_anybody_is_told() {
    let store = Store { delay: SECOND, ..Store::default() };
    let house = House::with(DeliveryConfig::default(), store, || Ok(()), refuse_b);
    let receipt = house.send("logs", &["a", "b", "c"]);
    breathe().await;
    assert_eq!(house.settled(Outcome::Delivered), 2);
    assert_eq!((house.settled(Outcome::DeadLettered), house.account.in_flight()), (0, 1));
    assert!(is_open(&receipt).await);
    let result = settled(&receipt).await;
    assert_eq!((result.dead_lettered, result.reason.as_deref()), (1, Some("mapping conflict")));
    let letters = house.store.letters.lock().clone();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.document, br#"{"message":"b"}"#);
    let names =
        [&letter.destination, &letter.sink, &letter.route, &letter.receiver].map(|name| name.to_string());
    assert_eq!(names, ["logs", "es", "logs", "json"]);
    assert_eq!(letter.id.as_ref().unwrap().len(), crate::ids::ID_CHARS);
    assert!(letter.arrived > 0 && letter.buried >= letter.arrived);
}

#[tokio::test(start_paused = true)]
async fn all_letters_of_a_payload_are_kept_at_once() {
    let house = House::new(one_at_a_time(), refuse_b);
    let receipt = house.send("logs", &["b"; 1_000]);
    assert_eq!(settled(&receipt).await.dead_lettered, 1_000);
    assert_eq!(house.store.attempts.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_blocks_delivery_and_loses_nothing() {
    let store = Store { failures: AtomicUsize::new(5), ..Store::default() };
    let retry = RetryConfig { initial: Period::secs(10), max: Period::secs(10), ..RetryConfig::default() };
    let house = House::with(DeliveryConfig { retry, ..one_at_a_time() }, store, || Ok(()), refuse_b);
    let refused = house.send("logs", &["b"]);
    breathe().await;
    let waiting = house.send("logs", &["c"]);
    breathe().await;
    let stats = house.handle.stats();
    assert!(matches!(stats.state(), DeliveryState::Blocked { reason } if reason.starts_with("dead letters")));
    assert!(is_open(&refused).await && is_open(&waiting).await);
    assert_eq!(house.seen().len(), 1, "nothing is sent while letters cannot be kept");
    assert_eq!(settled(&refused).await.dead_lettered, 1);
    assert_delivered(&waiting).await;
    assert_eq!(stats.burial_failures.load(Relaxed), 5);
    assert_eq!(house.store.letters.lock().len(), 1);
    assert_eq!(stats.state(), DeliveryState::Ok);
}

/// Letters that a store takes a few at a time are settled as it has them. Where it fails in between, only the others are buried again.
#[tokio::test(start_paused = true)]
async fn what_a_store_has_of_a_payload_is_settled_and_not_buried_again() {
    let store = Store { portion: Some(3), fails_at: Some(2), ..Store::default() };
    let house = House::with(
        one_at_a_time(),
        store,
        || Ok(()),
        |payload| {
            let verdict = |record: &String| Verdict::Refused { reason: format!("{record} is bad") };
            (Duration::ZERO, Verdicts::Each(payload.records.iter().map(verdict).collect()))
        },
    );
    let (first, second) =
        (house.send("logs", &["a", "b"]), house.send("logs", &["c", "d", "e", "f", "g", "h"]));
    assert_eq!(settled(&first).await.dead_lettered, 2);
    breathe().await;
    let was_settled = house.settled(Outcome::DeadLettered);
    assert_eq!(settled(&second).await.dead_lettered, 6);
    assert!((2..8).contains(&was_settled), "{was_settled}");
    let letters = house.store.letters.lock().clone();
    let kept: Vec<(String, String)> = letters
        .into_iter()
        .map(|letter| (String::from_utf8(letter.document).unwrap(), letter.reason))
        .collect();
    let expected = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(kept, expected.map(|text| (format!(r#"{{"message":"{text}"}}"#), format!("{text} is bad"))));
    assert_eq!(house.handle.stats().burial_failures.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_cannot_be_kept_is_owed_until_its_client_gives_up() {
    let store = Store { failures: AtomicUsize::new(usize::MAX), ..Store::default() };
    let house = House::with(DeliveryConfig::default(), store, || Ok(()), refuse_b);
    let receipt = house.send("logs", &["b"]);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(house.account.in_flight(), 1);
    drop(receipt);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!((house.account.in_flight(), house.settled(Outcome::Abandoned)), (0, 1));
    assert_eq!(house.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_sent_again_does_not_wait_for_a_burial() {
    let store = Store { delay: 1_000 * SECOND, ..Store::default() };
    let calls = AtomicUsize::new(0);
    let house = House::with(
        DeliveryConfig::default(),
        store,
        || Ok(()),
        move |_| {
            let verdicts = match calls.fetch_add(1, Relaxed) {
                0 => Verdicts::Each(vec![
                    Verdict::Retry { reason: "busy".to_owned() },
                    Verdict::Refused { reason: "mapping conflict".to_owned() },
                ]),
                _ => Verdicts::Delivered,
            };
            (Duration::ZERO, verdicts)
        },
    );
    let _receipt = house.send("logs", &["a", "b"]);
    tokio::time::sleep(SECOND).await;
    assert_eq!(house.seen()[1].records, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_rejects_keeps_no_letter_and_says_so() {
    let house = House::new(DeliveryConfig::default(), refuse_b);
    let receipt = Receipt::open();
    let body = body(&["a", "b"], house.budget.lease(1).unwrap(), Duration::ZERO);
    house.hand_over(&receipt, &body, "logs", 0..2, OnRefused::Reject);
    let result = settled(&receipt).await;
    assert_eq!((result.rejected, result.reason.as_deref()), (1, Some("mapping conflict")));
    assert!(house.store.letters.lock().is_empty());
    assert_eq!(house.settled(Outcome::Rejected), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_quotes_the_document_is_cut() {
    let house = House::new(DeliveryConfig::default(), |_| {
        (Duration::ZERO, Verdicts::Each(vec![Verdict::Refused { reason: "é".repeat(1_000_000) }]))
    });
    let result = settled(&house.send("logs", &["a"])).await;
    assert_eq!(result.reason.unwrap().len(), MAX_REASON_BYTES);
}
