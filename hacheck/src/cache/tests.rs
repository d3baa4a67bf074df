use std::sync::atomic::{AtomicU32, Ordering};

use tokio::{task::JoinSet, time};

use super::*;

/// Counts its checks, each of which takes 100 ms and answers with its number.
struct Service {
    cache: Cache<&'static str, u32>,
    checks: Arc<AtomicU32>,
}

impl Service {
    fn new(entries: usize, bytes: usize) -> Arc<Self> {
        let limits = Limits { lifetime: Duration::from_secs(1), entries, bytes };
        Arc::new(Self {
            cache: Cache::new(Handle::current(), limits, |_, _| Some(4)),
            checks: Arc::default(),
        })
    }

    async fn ask(&self, key: &'static str, freshness: Freshness) -> u32 {
        let checks = Arc::clone(&self.checks);
        let check = || async move {
            time::sleep(Duration::from_millis(100)).await;
            checks.fetch_add(1, Ordering::Relaxed) + 1
        };
        *self.cache.get(&key, freshness, check).await.unwrap()
    }

    async fn cached(&self, key: &'static str) -> u32 {
        self.ask(key, Freshness::Cached).await
    }
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_check() {
    let service = Service::new(10, 1000);
    let mut callers = JoinSet::new();
    for _ in 0..500 {
        let service = Arc::clone(&service);
        callers.spawn(async move { service.cached("svc").await });
    }
    assert_eq!(callers.join_all().await, [1; 500]);
    let expected =
        Statistics { expirations: 0, sets: 1, gets: 500, hits: 499, misses: 1, coalesced: 499 };
    assert_eq!(service.cache.statistics(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lives_from_the_moment_it_arrives() {
    let service = Service::new(10, 1000);
    assert_eq!(service.cached("svc").await, 1);
    time::advance(Duration::from_millis(999)).await;
    assert_eq!(service.cached("svc").await, 1);
    time::advance(Duration::from_millis(1)).await;
    assert_eq!(service.cached("svc").await, 2);
    assert_eq!(service.cached("other").await, 3);
    assert_eq!(service.cache.statistics().expirations, 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_survives_the_caller_that_asked_first() {
    let service = Service::new(10, 1000);
    let first = time::timeout(Duration::from_millis(50), service.cached("svc")).await;
    assert!(first.is_err(), "gone before the answer");
    let asked = Instant::now();
    assert_eq!(service.cached("svc").await, 1);
    assert_eq!(asked.elapsed(), Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn who_wants_an_answer_of_now_passes_over_old_ones_and_joins_running_checks() {
    let service = Service::new(10, 1000);
    assert_eq!(service.cached("svc").await, 1);
    let (one, two, three) = tokio::join!(
        service.ask("svc", Freshness::Now),
        service.ask("svc", Freshness::Now),
        service.cached("svc"),
    );
    assert_eq!((one, two, three), (2, 2, 2));
    assert_eq!(service.cached("svc").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_forgets_some_answer_for_a_new_one_and_waits_for_none() {
    let service = Service::new(1, 1000);
    assert_eq!(service.cached("a").await, 1);
    assert_eq!(service.cached("b").await, 2);
    assert_eq!(service.cached("b").await, 2, "it took the place");
    assert_eq!(service.cache.inner.state.lock().bytes, 4);
    let running = service.ask("b", Freshness::Now);
    // Nothing can be forgotten of a check that is under way.
    let (third, first) = tokio::join!(running, service.cached("a"));
    assert_eq!((third, first), (3, 4));
    assert_eq!(service.cached("b").await, 3);
    assert_eq!(service.cached("a").await, 5, "it was not kept, and takes the place now");
    assert_eq!(service.cache.inner.state.lock().slots.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_to_be_kept_is_given_to_all_who_wait_and_to_nobody_after() {
    let limits = Limits { lifetime: Duration::from_secs(60), entries: 10, bytes: 100 };
    let cache: Cache<&str, u32> =
        Cache::new(Handle::current(), limits, |_, answer| (*answer != 503).then_some(4));
    let check = |answer| {
        move || async move {
            time::sleep(Duration::from_millis(10)).await;
            answer
        }
    };
    let (one, two) = tokio::join!(
        cache.get(&"svc", Freshness::Cached, check(503)),
        cache.get(&"svc", Freshness::Cached, check(200)),
    );
    assert_eq!((one.as_deref(), two.as_deref()), (Some(&503), Some(&503)));
    let third = cache.get(&"svc", Freshness::Cached, check(200)).await;
    assert_eq!(third.as_deref(), Some(&200));
}

#[tokio::test(start_paused = true)]
async fn answers_beyond_the_limit_of_bytes_are_not_kept() {
    let service = Service::new(10, 7);
    assert_eq!(service.cached("a").await, 1);
    assert_eq!(service.cached("b").await, 2);
    assert_eq!(service.cached("b").await, 3);
    assert_eq!(service.cached("a").await, 1);
    time::advance(Duration::from_secs(2)).await;
    assert_eq!(service.cached("b").await, 4);
    assert_eq!(service.cached("b").await, 4);
    assert_eq!(service.cache.inner.state.lock().bytes, 4);
}

#[tokio::test]
async fn a_check_that_panics_is_made_again() {
    let limits = Limits { lifetime: Duration::from_secs(60), entries: 10, bytes: 100 };
    let cache: Cache<&str, u32> = Cache::new(Handle::current(), limits, |_, _| Some(4));
    let panicked = cache.get(&"svc", Freshness::Cached, || async { panic!("in a check") }).await;
    assert_eq!(panicked, None);
    let answer = cache.get(&"svc", Freshness::Cached, || async { 7 }).await;
    assert_eq!(answer.as_deref(), Some(&7));
}

#[tokio::test(start_paused = true)]
async fn who_asks_regularly_is_not_given_an_answer_as_old_as_its_own_last_one() {
    let service = Service::new(10, 1000);
    let within = |ms| service.ask("svc", Freshness::Within(Duration::from_millis(ms)));
    assert_eq!(within(500).await, 1);
    time::advance(Duration::from_millis(499)).await;
    assert_eq!(within(500).await, 1);
    time::advance(Duration::from_millis(1)).await;
    assert_eq!(within(500).await, 2);
    time::advance(Duration::from_millis(1000)).await;
    assert_eq!(within(5000).await, 3, "nor one older than the lifetime");
}
