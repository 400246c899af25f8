//! What fails, and what is sent again.

use super::*;

fn first_then(first: Verdicts, then: Verdicts) -> impl Fn(&Delivery) -> Reply + Send + Sync + 'static {
    let calls = AtomicUsize::new(0);
    move |_| (Duration::ZERO, if calls.fetch_add(1, Relaxed) == 0 { first.clone() } else { then.clone() })
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_failed_are_sent_again() {
    let again = Verdict::Retry { reason: "busy".to_owned() };
    let first = Verdicts::Each(vec![
        Verdict::Delivered,
        again.clone(),
        Verdict::Duplicate,
        Verdict::Diverted,
        Verdict::Delivered,
        again,
    ]);
    let house = House::new(DeliveryConfig::default(), first_then(first, Verdicts::Delivered));
    let receipt = house.send("logs", &["a", "b", "c", "d", "e", "f"]);
    assert_delivered(&receipt).await;
    let seen = house.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].records, ["b", "f"]);
    let outcomes =
        [Outcome::Delivered, Outcome::Duplicate, Outcome::Diverted].map(|outcome| house.settled(outcome));
    assert_eq!(outcomes, [4, 1, 1]);
    assert_eq!(house.handle.stats().retries(RetryKind::Partial), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_verdicts_is_never_a_success() {
    for count in [0, 2, 4] {
        let first = Verdicts::Each(vec![Verdict::Delivered; count]);
        let house = House::new(DeliveryConfig::default(), first_then(first, Verdicts::Delivered));
        settled(&house.send("logs", &["a", "b", "c"])).await;
        assert_eq!(house.seen().len(), 2, "{count} verdicts");
        assert_eq!(house.seen()[1].records, ["a", "b", "c"]);
        assert_eq!(house.settled(Outcome::Delivered), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_too_large_is_halved_down_to_the_record_that_is_to_blame() {
    let house = House::new(one_at_a_time(), |payload| {
        let too_large = payload.records.iter().any(|record| record == "giant");
        let verdicts = match too_large {
            true => Verdicts::TooLarge { reason: "413".to_owned() },
            false => Verdicts::Delivered,
        };
        (MS, verdicts)
    });
    let blocker = house.send("logs", &["blocker"]);
    breathe().await;
    let receipts = [
        house.send("logs", &["a", "b", "c"]),
        house.send("logs", &["d", "giant"]),
        house.send("logs", &["e", "f", "g"]),
    ];
    settled(&blocker).await;
    let results = [settled(&receipts[0]).await, settled(&receipts[1]).await, settled(&receipts[2]).await];
    assert_eq!(results.map(|result| result.dead_lettered), [0, 1, 0]);
    let letters = house.store.letters.lock().clone();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].document.as_slice(), letters[0].reason.as_str()),
        (&br#"{"message":"giant"}"#[..], "413")
    );
    let sizes: Vec<usize> = house.seen().iter().map(|payload| payload.records.len()).collect();
    assert_eq!(sizes, [1, 8, 4, 4, 2, 1, 1, 2]);
    assert_eq!(house.settled(Outcome::Delivered), 8);
    assert_eq!(house.handle.stats().splits.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn while_a_destination_fails_a_single_payload_probes_it() {
    let start = Instant::now();
    let house = House::new(DeliveryConfig::default(), move |payload| {
        let is_up = payload.at >= start + 60 * SECOND;
        (10 * MS, if is_up { Verdicts::Delivered } else { retry("refused connection") })
    });
    let mut receipts = Vec::new();
    for number in 0..600 {
        receipts.push(house.send("logs", &[format!("r{number}")]));
        tokio::time::sleep(MS).await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        house.handle.stats().state(),
        DeliveryState::Retrying { reason: "refused connection".to_owned() }
    );
    for receipt in &receipts {
        assert_delivered(receipt).await;
    }
    let down: Vec<Delivery> =
        house.seen().into_iter().filter(|payload| payload.at < start + 60 * SECOND).collect();
    // Those that left before the first answer, then one at a time; 100 ms doubled nine times is a minute.
    // A probe need not wait for the six that left before the first failure; the last of them is back after 16 ms.
    let last_answer = start + 16 * MS;
    assert!(down.iter().filter(|payload| payload.at > last_answer).all(|payload| payload.concurrent == 1));
    assert!(down.len() < 60, "{} attempts", down.len());
    assert_eq!(house.handle.stats().state(), DeliveryState::Ok);
}

/// A sink that never answers the first payload, answers the next `failures` with an error, and is well then.
fn one_hangs_and_then(
    failures: usize,
    overloaded: bool,
) -> impl Fn(&Delivery) -> Reply + Send + Sync + 'static {
    let number = AtomicUsize::new(0);
    move |_| match number.fetch_add(1, Relaxed) {
        0 => (60 * SECOND, Verdicts::Retry { reason: "timeout".to_owned(), after: None, overloaded: true }),
        number if number <= failures => {
            (MS, Verdicts::Retry { reason: "HTTP 503".to_owned(), after: None, overloaded })
        }
        _ => (MS, Verdicts::Delivered),
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_keep_a_failed_destination_from_being_probed() {
    // The last failures take the limit down to one, which is the place of the one that hangs.
    for (failures, overloaded) in [(1, false), (1, true), (4, true)] {
        let start = Instant::now();
        let house = House::new(DeliveryConfig::default(), one_hangs_and_then(failures, overloaded));
        let hung = house.send("logs", &["hung"]);
        tokio::time::sleep(10 * MS).await;
        let second = house.send("logs", &["second"]);
        assert_delivered(&second).await;
        assert!(start.elapsed() < 2 * SECOND, "{failures}: {:?}", start.elapsed());
        assert_eq!(house.handle.stats().state(), DeliveryState::Ok);
        assert!(is_open(&hung).await, "what is in doubt stays owed");
        assert_delivered(&hung).await;
        assert_eq!(house.settled(Outcome::Delivered), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_is_probed_by_one_payload_at_a_time() {
    let start = Instant::now();
    let number = AtomicUsize::new(0);
    // One fails, and all others hang until their time is over.
    let house = House::new(DeliveryConfig::default(), move |_| match number.fetch_add(1, Relaxed) {
        1 => (MS, retry("HTTP 503")),
        _ => (60 * SECOND, retry("timeout")),
    });
    let mut receipts = Vec::new();
    for number in 0..300 {
        receipts.push(house.send("logs", &[format!("r{number}")]));
        tokio::time::sleep(SECOND).await;
    }
    let seen = house.seen();
    let probes: Vec<&Delivery> = seen.iter().skip(2).collect();
    // The first that hangs, the failure, and then a probe a minute.
    assert!((4..=7).contains(&probes.len()), "{} probes in {:?}", probes.len(), start.elapsed());
    assert!(probes.windows(2).all(|two| two[1].at >= two[0].at + 60 * SECOND));
    assert!(house.handle.stats().in_flight.load(Relaxed) <= 2);
    drop(receipts);
}

#[tokio::test(start_paused = true)]
async fn after_a_success_the_full_concurrency_returns() {
    let start = Instant::now();
    let batch = BatchConfig { max_records: 1, ..BatchConfig::default() };
    let house = House::new(DeliveryConfig { batch, ..DeliveryConfig::default() }, move |payload| {
        (10 * MS, if payload.at < start + 5 * MS { retry("refused connection") } else { Verdicts::Delivered })
    });
    let records: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    settled(&house.send("logs", &records)).await;
    let seen = house.seen();
    let probe = seen.iter().position(|payload| payload.at >= start + 5 * MS).unwrap();
    assert_eq!(seen[probe].concurrent, 1);
    assert!(seen[probe + 1].at >= seen[probe].at + 10 * MS, "a second payload beside the probe");
    assert_eq!(seen.iter().skip(probe + 1).map(|payload| payload.concurrent).max(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_sink_asks_for_is_kept() {
    let start = Instant::now();
    let busy = Verdicts::Retry { reason: "429".to_owned(), after: Some(20 * SECOND), overloaded: true };
    let house = House::new(DeliveryConfig::default(), first_then(busy, Verdicts::Delivered));
    settled(&house.send("logs", &["a"])).await;
    assert!(start.elapsed() >= 20 * SECOND);
    let stats = house.handle.stats();
    assert_eq!((stats.retries(RetryKind::Overloaded), stats.limit.load(Relaxed)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_destination_rests_and_is_no_matter_for_dead_letters() {
    let blocked = Verdicts::Blocked { reason: "index closed".to_owned() };
    let house = House::new(DeliveryConfig::default(), first_then(blocked, Verdicts::Delivered));
    let start = Instant::now();
    let receipt = house.send("logs", &["a", "b"]);
    tokio::time::sleep(29 * SECOND).await;
    assert_eq!(house.handle.stats().state(), DeliveryState::Blocked { reason: "index closed".to_owned() });
    assert_eq!(house.seen().len(), 1);
    assert_delivered(&receipt).await;
    assert_eq!(start.elapsed(), 30 * SECOND);
    assert!(house.store.letters.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn blocked_records_rest_and_the_others_of_their_payload_are_settled() {
    let blocked = Verdict::Blocked { reason: "index closed".to_owned() };
    let first = Verdicts::Each(vec![Verdict::Delivered, blocked]);
    let house = House::new(DeliveryConfig::default(), first_then(first, Verdicts::Delivered));
    let start = Instant::now();
    settled(&house.send("logs", &["a", "b"])).await;
    assert_eq!(start.elapsed(), 30 * SECOND);
    assert_eq!(house.seen()[1].records, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_not_sent() {
    let house = House::new(one_at_a_time(), |_| (10 * SECOND, Verdicts::Delivered));
    let first = house.send("logs", &["first"]);
    breathe().await;
    drop(house.send("logs", &["given", "up"]));
    let last = house.send("logs", &["last"]);
    let held = house.budget.used();
    tokio::time::sleep(SECOND).await;
    // Its memory is free long before its turn would have come.
    assert_eq!(house.budget.used(), held - 1_000);
    assert_eq!(house.settled(Outcome::Abandoned), 2);
    settled(&first).await;
    settled(&last).await;
    let sent: Vec<String> = house.seen().into_iter().flat_map(|payload| payload.records).collect();
    assert_eq!(sent, ["first", "last"]);
    assert_eq!(house.handle.stats().given_up_records.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_awaits_its_verdict_though_nobody_waits() {
    let house = House::new(DeliveryConfig::default(), |_| (SECOND, Verdicts::Delivered));
    let receipt = house.send("logs", &["a"]);
    breathe().await;
    drop(receipt);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(house.settled(Outcome::Delivered), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_too_long_is_given_back_with_the_reason() {
    let house = House::new(DeliveryConfig::default(), always(retry("refused connection")));
    let receipt = house.send_aged("logs", &["old", "older"], Duration::from_secs(3_601));
    let result = settled(&receipt).await;
    assert_eq!(result.abandoned, 2);
    assert!(result.reason.unwrap().contains("refused connection"));
    assert_eq!(house.seen().len(), 1, "it is tried once however old it is");
    assert_eq!(house.handle.stats().expired_records.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_would_have_been_told_why() {
    let busy = Verdicts::Retry { reason: "429".to_owned(), after: Some(20 * SECOND), overloaded: true };
    let house = House::new(DeliveryConfig::default(), always(busy));
    let receipt = house.send("logs", &["a"]);
    breathe().await;
    assert!(!house.handle.drain(SECOND).await);
    let result = settled(&receipt).await;
    assert_eq!((result.abandoned, result.reason.as_deref()), (1, Some("429")));
    assert_eq!(result.retry_after, Some(20 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_panic_abandons_what_it_held_and_nothing_else() {
    let house = House::new(DeliveryConfig::default(), |payload| {
        assert!(payload.records != ["poison"], "a panic on purpose");
        (Duration::ZERO, Verdicts::Delivered)
    });
    let poison = house.send("logs", &["poison"]);
    assert_eq!(settled(&poison).await.abandoned, 1);
    assert_delivered(&house.send("logs", &["a"])).await;
    assert_eq!(house.handle.stats().panics.load(Relaxed), 1);
    assert_eq!(house.handle.stats().in_flight.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_just_now_is_not_sent_either() {
    let house = House::new(one_at_a_time(), |_| (10 * MS, Verdicts::Delivered));
    let first = house.send("logs", &["first"]);
    breathe().await;
    drop(house.send("logs", &["given up"]));
    let last = house.send("logs", &["last"]);
    settled(&first).await;
    settled(&last).await;
    let sent: Vec<String> = house.seen().into_iter().flat_map(|payload| payload.records).collect();
    assert_eq!(sent, ["first", "last"]);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_oldest_record_is_told_until_it_is_delivered() {
    let house = House::new(DeliveryConfig::default(), |_| (5 * SECOND, Verdicts::Delivered));
    let old = house.send_aged("old", &["a"], 100 * SECOND);
    let _young = house.send("young", &["a"]);
    tokio::time::sleep(SECOND).await;
    let stats = house.handle.stats();
    let age = crate::time::now() - stats.oldest.load(Relaxed);
    assert!((100_000_000_000..110_000_000_000).contains(&age), "{age}");
    settled(&old).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(stats.oldest.load(Relaxed), 0);
    assert!(stats.last_success.load(Relaxed) > 0);
}
