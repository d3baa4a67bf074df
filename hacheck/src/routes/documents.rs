//! The monitoring documents (hacheck.md §11).
//!
//! Two of them may name 10,000 services with 100,000 counters. Whoever asks for these again and again
//! is not to keep the thread busy that answers `/spool`, so they are written elsewhere, one after the
//! other.

use std::sync::Arc;

use hyper::{StatusCode, header};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::task;

use super::{
    Head, Inner, Told,
    answers::{self, Refusal},
    metrics::{self, Verdict},
};
use crate::{cache::Statistics, marks::UnixTime, server::Reply};

/// How far `/recent` looks back, in seconds, unless asked otherwise.
const RECENT: i64 = 600;

/// `/status`
#[derive(Serialize)]
struct Status {
    cache: Statistics,
    uptime: f64,
    outbound_request_queue_size: usize,
}

impl Inner {
    /// `/status`, which is short.
    pub(super) fn status(&self, head: Head<'_>) -> Told {
        let status = Status {
            cache: self.checker.statistics(),
            uptime: self.started.elapsed().as_secs_f64(),
            outbound_request_queue_size: self.checker.waiting(),
        };
        (answers::json(head.headers.get(header::IF_NONE_MATCH), &status), Verdict::Up)
    }

    /// `/metrics`, whose length does not depend on what is asked for.
    pub(super) fn metrics_text(&self) -> Reply {
        let mut registry = Registry::with_prefix("hacheck");
        self.register_metrics(&mut registry);
        metrics::text(&registry)
    }

    pub(super) async fn recent(self: &Arc<Self>, head: Head<'_>) -> Result<Told, Refusal> {
        let arguments = head.uri.query().unwrap_or_default().split('&');
        let threshold = arguments.filter_map(|pair| pair.strip_prefix("threshold=")).next_back();
        let threshold = threshold.map_or(Ok(RECENT), str::parse);
        let threshold = threshold.map_err(|_| Refusal::Number("threshold"))?;
        let none_match = head.headers.get(header::IF_NONE_MATCH).cloned();
        Ok(self
            .elsewhere(move |inner| {
                let recent = inner.seen.recent(threshold, UnixTime::now());
                answers::json(none_match.as_ref(), &recent)
            })
            .await)
    }

    pub(super) async fn counts(self: &Arc<Self>, head: Head<'_>) -> Told {
        let none_match = head.headers.get(header::IF_NONE_MATCH).cloned();
        self.elsewhere(move |inner| answers::json(none_match.as_ref(), &inner.seen.counts())).await
    }

    async fn elsewhere(
        self: &Arc<Self>,
        write: impl FnOnce(&Self) -> Reply + Send + 'static,
    ) -> Told {
        // Never closed.
        let _turn = self.documents.acquire().await;
        let inner = Arc::clone(self);
        match task::spawn_blocking(move || write(&inner)).await {
            Ok(reply) => (reply, Verdict::Up),
            // Only a bug of ours leads here.
            Err(_) => (answers::html(StatusCode::INTERNAL_SERVER_ERROR, ""), Verdict::Failed),
        }
    }
}
