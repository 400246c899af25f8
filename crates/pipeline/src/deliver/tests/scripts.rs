//! Whatever a sink answers, the ledger balances and agrees with what the sink has said of each record.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// What the sink does with one payload.
#[derive(Clone, Debug)]
enum Act {
    Deliver,
    Each(Vec<Verdict>),
    WrongCount(usize),
    Retry { overloaded: bool },
    TooLarge,
    Blocked,
    Panic,
}

#[derive(Clone, Debug)]
struct Sending {
    destination: u8,
    records: u32,
    rejects: bool,
    /// The client goes away after so many milliseconds.
    patience: Option<u64>,
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let why = || "scripted".to_owned();
    prop_oneof![
        4 => Just(Verdict::Delivered),
        1 => Just(Verdict::Duplicate),
        1 => Just(Verdict::Diverted),
        2 => Just(Verdict::Retry { reason: why() }),
        1 => Just(Verdict::Blocked { reason: why() }),
        2 => Just(Verdict::Refused { reason: why() }),
    ]
}

fn act() -> impl Strategy<Value = (u64, Act)> {
    let act = prop_oneof![
        3 => Just(Act::Deliver),
        6 => prop::collection::vec(verdict(), 1..8).prop_map(Act::Each),
        1 => (0usize..4).prop_map(Act::WrongCount),
        2 => any::<bool>().prop_map(|overloaded| Act::Retry { overloaded }),
        3 => Just(Act::TooLarge),
        1 => Just(Act::Blocked),
        1 => Just(Act::Panic),
    ];
    (0u64..2_000, act)
}

fn sending() -> impl Strategy<Value = Sending> {
    let patience = prop_oneof![4 => Just(None), 1 => (0u64..5_000).prop_map(Some)];
    (0u8..4, 1u32..30, any::<bool>(), patience).prop_map(|(destination, records, rejects, patience)| {
        Sending { destination, records, rejects, patience }
    })
}

/// What the sink has said of each record, in the order in which it said it.
type Sayings = Arc<Mutex<HashMap<String, Vec<Verdict>>>>;

fn perform(script: Vec<(u64, Act)>, sayings: Sayings) -> impl Fn(&Delivery) -> Reply + Send + Sync + 'static {
    let step = AtomicUsize::new(0);
    move |payload| {
        let (delay, act) = script.get(step.fetch_add(1, Relaxed)).cloned().unwrap_or((1, Act::Deliver));
        let why = || "scripted".to_owned();
        let count = payload.records.len();
        let verdicts = match act {
            Act::Deliver => Verdicts::Delivered,
            Act::Each(each) => Verdicts::Each(each.into_iter().cycle().take(count).collect()),
            Act::WrongCount(other) if other != count => Verdicts::Each(vec![Verdict::Delivered; other]),
            Act::WrongCount(_) => Verdicts::Each(vec![Verdict::Delivered; count + 1]),
            Act::Retry { overloaded } => Verdicts::Retry { reason: why(), after: None, overloaded },
            Act::TooLarge => Verdicts::TooLarge { reason: why() },
            Act::Blocked => Verdicts::Blocked { reason: why() },
            Act::Panic => panic!("a panic on purpose"),
        };
        let said = match &verdicts {
            Verdicts::Delivered => vec![Verdict::Delivered; count],
            Verdicts::Each(each) if each.len() == count => each.clone(),
            Verdicts::TooLarge { .. } if count == 1 => vec![Verdict::Refused { reason: why() }],
            _ => vec![Verdict::Retry { reason: why() }; count],
        };
        let mut sayings = sayings.lock();
        for (record, verdict) in payload.records.iter().zip(said) {
            sayings.entry(record.clone()).or_default().push(verdict);
        }
        (MS * delay as u32, verdicts)
    }
}

fn is_final(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Retry { .. } | Verdict::Blocked { .. })
}

async fn play(script: Vec<(u64, Act)>, sendings: Vec<Sending>, max: u32) {
    let sayings = Sayings::default();
    let config = DeliveryConfig {
        batch: BatchConfig { max_bytes: ByteSize(200), max_records: 25, ..BatchConfig::default() },
        concurrency: ConcurrencyConfig { min: 1, max },
        ..DeliveryConfig::default()
    };
    let store = Store { failures: AtomicUsize::new(script.len() % 3), ..Store::default() };
    let house = House::with(config, store, || Ok(()), perform(script, Arc::clone(&sayings)));
    let mut clients = Vec::new();
    let mut rejecting = Vec::new();
    for (number, sending) in sendings.iter().enumerate() {
        let records: Vec<String> = (0..sending.records).map(|record| format!("{number}-{record}")).collect();
        if sending.rejects {
            rejecting.extend(records.clone());
        }
        let body = body(&records, house.budget.lease(10).unwrap(), Duration::ZERO);
        let receipt = Receipt::open();
        let on_refused = if sending.rejects { OnRefused::Reject } else { OnRefused::DeadLetter };
        let destination = format!("d{}", sending.destination);
        house.hand_over(&receipt, &body, &destination, 0..sending.records, on_refused);
        let patience = Duration::from_millis(sending.patience.unwrap_or(3_000_000));
        let client = async move { tokio::time::timeout(patience, receipt.settled()).await };
        clients.push(crate::task::spawn("client", client));
        tokio::time::sleep(MS).await;
    }
    for (client, sending) in clients.into_iter().zip(&sendings) {
        let answer = client.await.unwrap();
        assert!(answer.is_ok() || sending.patience.is_some(), "a client without an answer");
    }
    assert!(house.handle.drain(Duration::from_secs(3_000)).await, "not settled");
    balance(&house, &sendings, &sayings.lock(), &rejecting);
}

fn balance(
    house: &House,
    sendings: &[Sending],
    sayings: &HashMap<String, Vec<Verdict>>,
    rejecting: &[String],
) {
    let owed: u64 = sendings.iter().map(|sending| u64::from(sending.records)).sum();
    assert_eq!((house.account.owed(), house.account.in_flight()), (owed, 0));
    assert_eq!(house.budget.used(), 0);
    let mut expected: HashMap<Outcome, u64> = HashMap::new();
    for (record, said) in sayings {
        let (last, before) = said.split_last().unwrap();
        assert!(!before.iter().any(is_final), "{record} was sent again after a last word: {said:?}");
        let outcome = match last {
            Verdict::Delivered => Outcome::Delivered,
            Verdict::Duplicate => Outcome::Duplicate,
            Verdict::Diverted => Outcome::Diverted,
            Verdict::Refused { .. } if rejecting.contains(record) => Outcome::Rejected,
            Verdict::Refused { .. } => Outcome::DeadLettered,
            Verdict::Retry { .. } | Verdict::Blocked { .. } => continue,
        };
        *expected.entry(outcome).or_default() += 1;
    }
    for outcome in [Outcome::Delivered, Outcome::Duplicate, Outcome::Diverted, Outcome::Rejected] {
        assert_eq!(house.settled(outcome), expected.get(&outcome).copied().unwrap_or(0), "{outcome:?}");
    }
    // A client may give up while its letter cannot be kept yet.
    let buried = house.settled(Outcome::DeadLettered);
    assert!(buried <= expected.get(&Outcome::DeadLettered).copied().unwrap_or(0));
    assert_eq!(house.store.letters.lock().len() as u64, buried);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_whatever_the_sink_says(
        script in prop::collection::vec(act(), 0..40),
        sendings in prop::collection::vec(sending(), 1..20),
        max in 1u32..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(script, sendings, max));
    }
}
