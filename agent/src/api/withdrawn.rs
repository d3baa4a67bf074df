//! Since when instances of this host get nothing new, as far as this agent can see.
//!
//! Proxies on other hosts follow the registry and hacheck a moment later, so that an instance is safe to
//! stop only after a hold time beyond that (`drain.hold`).

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{View, drain, target::Target};
use crate::snapshot::renew;

/// Instances that are marked, have no record and get nothing from the local HAProxy.
pub type Withdrawn = BTreeMap<Target, Instant>;

/// Follows every instance of this host, until `stop`.
pub async fn follow(
    mut view: View,
    current: watch::Sender<Arc<Withdrawn>>,
    stop: CancellationToken,
) {
    loop {
        view.registrations.mark_unchanged();
        view.away.mark_unchanged();
        view.published.mark_unchanged();
        view.haproxy.mark_unchanged();
        let out = drain::all(&view).into_iter().filter(|target| drain::is_withdrawn(target, &view));
        let next = renewed(&current.borrow(), out, Instant::now());
        renew(&current, next);
        let changed = tokio::select! {
            () = stop.cancelled() => return,
            changed = view.registrations.changed() => changed,
            changed = view.away.changed() => changed,
            changed = view.published.changed() => changed,
            changed = view.haproxy.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Who was out before has been out since then.
fn renewed(before: &Withdrawn, out: impl Iterator<Item = Target>, now: Instant) -> Withdrawn {
    out.map(|target| {
        let since = before.get(&target).copied().unwrap_or(now);
        (target, since)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instance_that_came_back_begins_anew() {
        let target = |port| Target { namespace: "web.main".parse().unwrap(), port };
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let first = renewed(&Withdrawn::new(), [target(1)].into_iter(), start);
        let both = renewed(&first, [target(1), target(2)].into_iter(), later);
        assert_eq!(both, [(target(1), start), (target(2), later)].into());
        let back = renewed(&both, [target(2)].into_iter(), later);
        let again = renewed(&back, [target(1)].into_iter(), later);
        assert_eq!(again, [(target(1), later)].into());
    }
}
