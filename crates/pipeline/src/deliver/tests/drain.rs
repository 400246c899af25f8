//! The end of delivery.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_there_and_takes_no_more() {
    let batch =
        BatchConfig { min_bytes: ByteSize::mib(1), max_age: Period::secs(600), ..BatchConfig::default() };
    let house = House::new(DeliveryConfig { batch, ..one_at_a_time() }, |_| (SECOND, Verdicts::Delivered));
    let receipts: Vec<Receipt> = (0..10).map(|number| house.send(&format!("d{number}"), &["a"])).collect();
    let start = Instant::now();
    let handle = house.handle.clone();
    let drain = crate::task::spawn("drain", async move { handle.drain(60 * SECOND).await });
    breathe().await;
    assert_eq!(house.handle.reserve(1).unwrap_err(), Full);
    assert!(drain.await.unwrap());
    // It does not wait for a minimum to gather.
    assert_eq!(start.elapsed(), 10 * SECOND);
    for receipt in &receipts {
        assert_delivered(receipt).await;
    }
    breathe().await;
    assert!(!house.handle.is_running());
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_cannot_finish_is_abandoned_when_it_returns() {
    let house = House::new(one_at_a_time(), |_| (Duration::from_secs(1_000_000), Verdicts::Delivered));
    let receipts = [house.send("logs", &["on", "its", "way"]), house.send("logs", &["waiting"])];
    breathe().await;
    let start = Instant::now();
    assert!(!house.handle.drain(5 * SECOND).await);
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!((house.account.in_flight(), house.settled(Outcome::Abandoned)), (0, 4));
    assert_eq!(settled(&receipts[0]).await.abandoned, 3);
    assert_eq!(house.budget.used(), 0);
    let stats = house.handle.stats();
    assert_eq!((stats.in_flight.load(Relaxed), stats.queued_shares.load(Relaxed)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_share_reserved_before_the_drain_is_still_taken() {
    let house = House::new(DeliveryConfig::default(), always(Verdicts::Delivered));
    let mut permits = house.handle.reserve(1).unwrap();
    let handle = house.handle.clone();
    let drain = crate::task::spawn("drain", async move { handle.drain(60 * SECOND).await });
    breathe().await;
    let receipt = Receipt::open();
    permits.send(house.share(&receipt));
    drop(permits);
    assert!(drain.await.unwrap());
    assert_eq!(house.settled(Outcome::Delivered), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_it_after_what_is_there() {
    let house = House::new(one_at_a_time(), |_| (SECOND, Verdicts::Delivered));
    let receipt = Receipt::open();
    house.handle.reserve(1).unwrap().send(house.share(&receipt));
    let House { handle, sink, .. } = house;
    drop(handle);
    assert_delivered(&receipt).await;
    breathe().await;
    assert_eq!(Arc::strong_count(&sink), 1, "the dispatcher still holds the sink");
}
