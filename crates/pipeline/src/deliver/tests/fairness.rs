//! Destinations beside each other.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_slow_destination_does_not_block_a_quick_one() {
    let house = House::new(DeliveryConfig::default(), |payload| {
        let delay = if payload.destination == "slow" { 60 * SECOND } else { MS };
        (delay, Verdicts::Delivered)
    });
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(house.send("slow", &["a"]));
        breathe().await;
    }
    let start = Instant::now();
    for _ in 0..100 {
        settled(&house.send("quick", &["a"])).await;
    }
    assert_eq!(start.elapsed(), 100 * MS);
    assert_eq!(house.seen().iter().filter(|payload| payload.destination == "slow").count(), 6);
    assert!(is_open(&slow[0]).await);
}

#[tokio::test(start_paused = true)]
async fn destinations_take_turns() {
    let batch = BatchConfig { max_records: 10, ..BatchConfig::default() };
    let house = House::new(DeliveryConfig { batch, ..one_at_a_time() }, |_| (MS, Verdicts::Delivered));
    let blocker = house.send("blocker", &["a"]);
    breathe().await;
    let records: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let receipts = [house.send("large", &records), house.send("small", &["a"]), house.send("third", &["a"])];
    for receipt in [&blocker].into_iter().chain(&receipts) {
        settled(receipt).await;
    }
    let order: Vec<String> = house.seen().into_iter().map(|payload| payload.destination).collect();
    assert_eq!(order[..4], ["blocker", "large", "small", "third"]);
    assert_eq!(order[4..], ["large", "large", "large", "large"]);
}

#[tokio::test(start_paused = true)]
async fn more_destinations_than_lanes_are_all_served() {
    let house = House::new(DeliveryConfig::default(), |_| (10 * MS, Verdicts::Delivered));
    let receipts: Vec<Receipt> =
        (0..MAX_LANES * 3 + 5).map(|number| house.send(&format!("d{number}"), &["a"])).collect();
    for receipt in &receipts {
        assert_delivered(receipt).await;
    }
    assert_eq!(house.settled(Outcome::Delivered), receipts.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn destinations_that_are_blocked_do_not_keep_the_lanes_from_others() {
    let house = House::new(DeliveryConfig::default(), |payload| {
        let verdicts = match payload.destination.starts_with("shut") {
            true => Verdicts::Blocked { reason: "closed".to_owned() },
            false => Verdicts::Delivered,
        };
        (MS, verdicts)
    });
    let shut: Vec<Receipt> =
        (0..MAX_LANES).map(|number| house.send(&format!("shut{number}"), &["a"])).collect();
    let open: Vec<Receipt> = (0..10).map(|number| house.send(&format!("open{number}"), &["a"])).collect();
    let start = Instant::now();
    for receipt in &open {
        settled(receipt).await;
    }
    assert!(start.elapsed() < SECOND);
    assert!(is_open(&shut[0]).await);
}

#[tokio::test(start_paused = true)]
async fn a_failing_destination_does_not_hold_back_another() {
    let house = House::new(one_at_a_time(), |payload| {
        (MS, if payload.destination == "bad" { retry("shard lost") } else { Verdicts::Delivered })
    });
    let bad = house.send("bad", &["a"]);
    tokio::time::sleep(20 * SECOND).await;
    let start = Instant::now();
    settled(&house.send("good", &["a"])).await;
    assert!(start.elapsed() <= 3 * MS);
    assert!(is_open(&bad).await);
}
