//! What a payload holds, and when it leaves.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lone_share_leaves_at_once() {
    let house = House::new(DeliveryConfig::default(), always(Verdicts::Delivered));
    let start = Instant::now();
    let receipt = house.send("logs", &["a"]);
    assert_delivered(&receipt).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(house.settled(Outcome::Delivered), 1);
}

#[tokio::test(start_paused = true)]
async fn shares_gather_while_no_slot_is_free() {
    let house = House::new(one_at_a_time(), |_| (100 * MS, Verdicts::Delivered));
    let mut receipts = vec![house.send("logs", &["first"])];
    breathe().await;
    receipts.extend((0..50).map(|number| house.send("logs", &[format!("r{number}")])));
    for receipt in &receipts {
        settled(receipt).await;
    }
    let sizes: Vec<usize> = house.seen().iter().map(|payload| payload.records.len()).collect();
    assert_eq!(sizes, [1, 50]);
    let expected: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    assert_eq!(house.seen()[1].records, expected);
}

#[tokio::test(start_paused = true)]
async fn a_minimum_is_waited_for_but_not_longer_than_its_age() {
    let batch = BatchConfig { min_bytes: ByteSize(10), ..BatchConfig::default() };
    let house =
        House::new(DeliveryConfig { batch, ..DeliveryConfig::default() }, always(Verdicts::Delivered));
    let start = Instant::now();
    settled(&house.send("logs", &["few"])).await;
    assert_eq!(start.elapsed(), 200 * MS);
    settled(&house.send("logs", &["more", "than that"])).await;
    assert_eq!(start.elapsed(), 200 * MS);
}

#[tokio::test(start_paused = true)]
async fn payloads_keep_to_their_bounds_and_every_record_is_sent_once_in_order() {
    let batch = BatchConfig { max_bytes: ByteSize::kib(100), max_records: 300, ..BatchConfig::default() };
    let house = House::new(DeliveryConfig { batch, ..one_at_a_time() }, |_| (MS, Verdicts::Delivered));
    let small: Vec<String> = (0..1_000).map(|number| format!("small-{number}")).collect();
    let large: Vec<String> = (0..1_000).map(|number| format!("{number:0>1024}")).collect();
    let receipts = [house.send("logs", &small), house.send("logs", &large)];
    for receipt in &receipts {
        assert_delivered(receipt).await;
    }
    let seen = house.seen();
    assert!(seen.iter().all(|payload| payload.bytes <= 100 << 10 && payload.records.len() <= 300));
    // Not many small ones either: the two bounds alone make 4 and 11.
    assert!(seen.len() <= 20, "{}", seen.len());
    let sent: Vec<String> = seen.into_iter().flat_map(|payload| payload.records).collect();
    assert_eq!(sent, [small, large].concat());
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fit_is_sent_while_the_first_part_is_on_its_way() {
    let batch = BatchConfig { max_bytes: ByteSize::kib(10), ..BatchConfig::default() };
    let house =
        House::new(DeliveryConfig { batch, ..DeliveryConfig::default() }, |_| (SECOND, Verdicts::Delivered));
    let start = Instant::now();
    let records: Vec<String> = (0..50).map(|number| format!("{number:0>1000}")).collect();
    settled(&house.send("logs", &records)).await;
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(house.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_payload_on_its_way_is_accounted_for() {
    let house = House::new(DeliveryConfig::default(), |_| (SECOND, Verdicts::Delivered));
    let receipt = house.send("logs", &["0123456789"]);
    assert_eq!(house.budget.used(), 1_000);
    breathe().await;
    assert_eq!(house.budget.used(), 1_000 + 11);
    assert_eq!(house.handle.stats().in_flight.load(Relaxed), 1);
    settled(&receipt).await;
    breathe().await;
    assert_eq!(house.budget.used(), 0);
    assert_eq!(house.handle.stats().in_flight.load(Relaxed), 0);
    assert_eq!(house.handle.stats().queued_bytes.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn room_is_given_for_all_shares_of_a_request_or_for_none() {
    let config = DeliveryConfig { max_queued_shares: 8, ..one_at_a_time() };
    let house = House::new(config, |_| (SECOND, Verdicts::Delivered));
    let taken = house.handle.reserve(3).unwrap();
    assert_eq!(house.handle.reserve(2).unwrap_err(), Full);
    let last = house.handle.reserve(1).unwrap();
    drop((taken, last));
    assert!(house.handle.reserve(4).is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiting_shares_are_bounded() {
    let config = DeliveryConfig { max_queued_shares: 8, ..one_at_a_time() };
    let house = House::new(config, |_| (SECOND, Verdicts::Delivered));
    let mut receipts = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        match house.handle.reserve(1) {
            Ok(permits) => drop(permits),
            Err(Full) => {
                refused += 1;
                continue;
            }
        }
        receipts.push(house.send("logs", &["a"]));
        breathe().await;
    }
    // One on its way, four in the lane, four in the inbox.
    assert_eq!((receipts.len(), refused), (9, 21));
    for receipt in &receipts {
        settled(receipt).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_sink_is_prepared() {
    let failures = AtomicUsize::new(3);
    let prepare = move || match failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
        Ok(_) => Err("no connection".to_owned()),
        Err(_) => Ok(()),
    };
    let retry = RetryConfig { initial: Period::secs(60), max: Period::secs(60), ..RetryConfig::default() };
    let config = DeliveryConfig { retry, ..DeliveryConfig::default() };
    let house = House::with(config, Store::default(), prepare, always(Verdicts::Delivered));
    let receipt = house.send("logs", &["a"]);
    breathe().await;
    let stats = house.handle.stats();
    assert!(house.seen().is_empty() && !stats.prepared.load(Relaxed));
    assert_eq!(stats.state(), DeliveryState::Retrying { reason: "no connection".to_owned() });
    assert_delivered(&receipt).await;
    assert!(stats.prepared.load(Relaxed));
    assert_eq!(stats.state(), DeliveryState::Ok);
}

#[tokio::test(start_paused = true)]
async fn others_get_their_turn_while_a_large_payload_is_encoded() {
    let house = House::new(DeliveryConfig::default(), always(Verdicts::Delivered));
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    let other = crate::task::spawn("other", async move {
        loop {
            counter.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let records: Vec<String> = (0..3_000).map(|number| format!("{number:0>1000}")).collect();
    let receipt = house.send("logs", &records);
    let before = turns.load(Relaxed);
    receipt.settled().await;
    other.abort();
    assert_eq!(house.seen().len(), 1);
    // 3 MB in stretches of 128 KiB.
    assert!(turns.load(Relaxed) - before > 20);
}
