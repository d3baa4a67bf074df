//! The load of an instance over time, as PaaSTA keeps it in ZooKeeper (marathon-sync.md §19): pairs of
//! little-endian doubles, time and load, the newest last.

/// As many as fit into a znode.
const MOST: usize = 62_500;
const BYTES: usize = 16;

/// Seconds since 1970, and load in tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(Vec<(f64, f64)>);

impl History {
    /// What is no whole pair is left out.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.try_into().map(f64::from_le_bytes).unwrap_or_default();
        let pair = |pair: &[u8]| {
            let (time, load) = pair.split_at(BYTES / 2);
            (number(time), number(load))
        };
        let pairs = bytes.chunks_exact(BYTES).map(pair);
        Self(pairs.filter(|(time, load)| time.is_finite() && load.is_finite()).collect())
    }

    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let pair = |(time, load): &(f64, f64)| [time.to_le_bytes(), load.to_le_bytes()].concat();
        self.0.iter().flat_map(pair).collect()
    }

    /// The oldest are forgotten.
    pub fn push(&mut self, time: f64, load: f64) {
        self.0.push((time, load));
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    #[must_use]
    pub fn last(&self) -> Option<(f64, f64)> {
        self.0.last().copied()
    }

    /// Those of so many seconds before the last one, and that one.
    pub fn window(&self, seconds: f64) -> impl Iterator<Item = (f64, f64)> + Clone {
        // Where the clock was set back, there are points after the last one.
        let end = self.last().map_or(f64::NEG_INFINITY, |(time, _)| time);
        self.0.iter().copied().filter(move |(time, _)| (end - seconds..=end).contains(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_is_left_out() {
        let mut history = History::default();
        history.push(1.0, 2.5);
        history.push(2.0, 3.5);
        let mut bytes = history.bytes();
        assert_eq!(History::read(&bytes), history);
        bytes.extend(f64::NAN.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.push(7);
        assert_eq!(History::read(&bytes), history);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut history = History::default();
        (0..=MOST).for_each(|_| history.push(1.0, 1.0));
        history.push(2.0, 2.0);
        assert_eq!((history.bytes().len(), history.last()), (MOST * BYTES, Some((2.0, 2.0))));
    }
    #[test]
    fn a_window_ends_at_the_last_point_also_after_the_clock_was_set_back() {
        let mut history = History::default();
        for (time, load) in [(90.0, 9.0), (100.0, 1.0), (900.0, 7.0), (110.0, 3.0)] {
            history.push(time, load);
        }
        let window: Vec<_> = history.window(10.0).collect();
        assert_eq!(window, [(100.0, 1.0), (110.0, 3.0)]);
    }
}
