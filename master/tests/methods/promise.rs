//! What the methods of a bounce promise, for the models of it.

use paasta_master::bounce::{Margin, Method};
use proptest::prelude::*;

/// The least that a method leaves of `before`, by its own decisions.
pub(crate) fn promise(method: Method, want: u32, before: usize) -> usize {
    match method {
        Method::Crossover(margin) => before.min(margin.of(want)),
        Method::Upthendown => before.min(want as usize),
        Method::Brutal | Method::Downthenup | Method::Down => 0,
    }
}

/// With all margins of whole percents.
pub(crate) fn crossover() -> impl Strategy<Value = Method> {
    (1..=100_u8).prop_filter_map("a margin", |percent| {
        Margin::new(f64::from(percent) / 100.0).ok().map(Method::Crossover)
    })
}
