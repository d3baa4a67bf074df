//! Rise and fall: when a run of check results changes the verdict (nerve.md §2).

use std::num::NonZeroUsize;

/// The verdict over one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Up,
    Down,
}

/// Turns check results into verdicts.
///
/// The very first result decides alone, whatever `rise` is: a freshly started agent registers a
/// healthy task after one good answer. Later `fall` bad results in a row bring a target down and
/// `rise` good ones bring it back.
#[derive(Clone, Debug)]
pub struct Judge {
    rise: NonZeroUsize,
    fall: NonZeroUsize,
    verdict: Option<Verdict>,
    /// Results in a row that speak against the verdict.
    against: usize,
}

impl Judge {
    #[must_use]
    pub fn new(rise: NonZeroUsize, fall: NonZeroUsize) -> Self {
        Self { rise, fall, verdict: None, against: 0 }
    }

    /// Takes one result and says how the target stands now.
    pub fn take(&mut self, good: bool) -> Verdict {
        let says = if good { Verdict::Up } else { Verdict::Down };
        let verdict = match self.verdict {
            None => says,
            Some(current) if current == says => {
                self.against = 0;
                current
            }
            Some(current) => {
                self.against += 1;
                let needed = if good { self.rise } else { self.fall };
                if self.against >= needed.get() { says } else { current }
            }
        };
        if self.verdict != Some(verdict) {
            self.against = 0;
        }
        self.verdict = Some(verdict);
        verdict
    }

    /// Takes a bad result that needs no other to count.
    pub fn condemn(&mut self) -> Verdict {
        self.against = 0;
        self.verdict = Some(Verdict::Down);
        Verdict::Down
    }

    /// Whether the last result spoke against the verdict.
    #[must_use]
    pub fn doubts(&self) -> bool {
        self.against > 0
    }

    /// Forgets everything, as after a mark was lifted: the next result decides alone.
    pub fn forget(&mut self) {
        self.verdict = None;
        self.against = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(rise: usize, fall: usize, results: &str) -> String {
        let n = |n| NonZeroUsize::new(n).unwrap();
        let mut judge = Judge::new(n(rise), n(fall));
        let letter = |good| if judge.take(good) == Verdict::Up { 'U' } else { 'd' };
        results.chars().map(|c| c == '+').map(letter).collect()
    }

    #[test]
    fn runs_of_results_change_the_verdict() {
        for (rise, fall, results, expected) in [
            (1, 2, "+-+--+", "UUUUdU"),
            (1, 2, "--+", "ddU"),
            (3, 2, "+", "U"),
            (3, 2, "-++-+++", "ddddddU"),
            (2, 3, "+--+---++", "UUUUUUddU"),
            (1, 1, "+-+-", "UdUd"),
        ] {
            assert_eq!(
                verdicts(rise, fall, results),
                expected,
                "rise {rise} fall {fall} {results}"
            );
        }
    }

    #[test]
    fn after_forgetting_the_next_result_decides_alone() {
        let mut judge = Judge::new(NonZeroUsize::MIN, NonZeroUsize::new(5).unwrap());
        judge.take(true);
        judge.forget();
        assert_eq!(judge.take(false), Verdict::Down);
    }

    #[test]
    fn a_condemned_target_needs_its_good_results_to_come_back() {
        let two = NonZeroUsize::new(2).unwrap();
        let mut judge = Judge::new(two, NonZeroUsize::new(9).unwrap());
        judge.take(true);
        assert!(judge.take(false) == Verdict::Up && judge.doubts());
        assert!(judge.condemn() == Verdict::Down && !judge.doubts());
        assert_eq!((judge.take(true), judge.take(true)), (Verdict::Down, Verdict::Up));
    }
}
