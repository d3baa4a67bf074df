//! Snapshots on their way from room to room.

use std::sync::Arc;

use tokio::sync::watch;

/// Publishes `value`, unless it says what was published before: who waits for a change is woken by one.
pub(crate) fn renew<T: PartialEq>(sender: &watch::Sender<Arc<T>>, value: impl Into<Arc<T>>) {
    let value = value.into();
    sender.send_if_modified(|current| {
        let changed = **current != *value;
        if changed {
            *current = value;
        }
        changed
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_wakes_anybody() {
        let (sender, mut receiver) = watch::channel(Arc::new(1));
        renew(&sender, 1);
        assert!(!receiver.has_changed().unwrap());
        renew(&sender, Arc::new(2));
        assert!(receiver.has_changed().unwrap());
        assert_eq!(**receiver.borrow_and_update(), 2);
    }
}
