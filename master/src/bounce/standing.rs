//! The tasks of an app by how they stand in a bounce (marathon-sync.md §10.1).

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It serves.
    Happy,
    /// It does not, or nobody knows.
    Unhappy,
    /// It is marked down.
    Draining,
    /// It serves, on a host that is to go.
    AtRisk,
}

impl Stand {
    /// What is known of a task makes it stand so. `draining` is `None` if that could not be found out.
    #[must_use]
    pub fn of(draining: Option<bool>, is_happy: bool, host_is_draining: bool) -> Self {
        match draining {
            None => Self::Unhappy,
            Some(true) => Self::Draining,
            Some(false) if !is_happy => Self::Unhappy,
            Some(false) if host_is_draining => Self::AtRisk,
            Some(false) => Self::Happy,
        }
    }
}

/// Tasks by how they stand, each group in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<T> {
    pub happy: Vec<T>,
    pub unhappy: Vec<T>,
    pub draining: Vec<T>,
    pub at_risk: Vec<T>,
}

impl<T> Default for Standing<T> {
    fn default() -> Self {
        Self { happy: Vec::new(), unhappy: Vec::new(), draining: Vec::new(), at_risk: Vec::new() }
    }
}

impl<T> Extend<(T, Stand)> for Standing<T> {
    fn extend<I: IntoIterator<Item = (T, Stand)>>(&mut self, tasks: I) {
        for (task, stand) in tasks {
            match stand {
                Stand::Happy => self.happy.push(task),
                Stand::Unhappy => self.unhappy.push(task),
                Stand::Draining => self.draining.push(task),
                Stand::AtRisk => self.at_risk.push(task),
            }
        }
    }
}

impl<T> FromIterator<(T, Stand)> for Standing<T> {
    fn from_iter<I: IntoIterator<Item = (T, Stand)>>(tasks: I) -> Self {
        let mut standing = Self::default();
        standing.extend(tasks);
        standing
    }
}

impl<T: Clone> Standing<T> {
    /// Those that a bounce may still drain, the best ones first. Those at risk come last although they
    /// serve: they have to go anyway.
    #[must_use]
    pub fn candidates(&self) -> Vec<T> {
        [&self.happy[..], &self.unhappy, &self.at_risk].concat()
    }
}

impl<T> Standing<T> {
    /// Takes up to `count` tasks out, those that are missed least first.
    #[must_use]
    pub fn take_surplus(&mut self, count: usize) -> Self {
        let mut left = count;
        let mut take = |group: &mut Vec<T>| {
            let taken: Vec<T> = group.drain(..left.min(group.len())).collect();
            left -= taken.len();
            taken
        };
        let draining = take(&mut self.draining);
        let unhappy = take(&mut self.unhappy);
        let at_risk = take(&mut self.at_risk);
        Self { happy: take(&mut self.happy), unhappy, draining, at_risk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing<u8> {
        let stands = [
            (1, Stand::of(Some(false), true, false)),
            (2, Stand::of(None, true, true)),
            (3, Stand::of(Some(true), true, true)),
            (4, Stand::of(Some(false), true, true)),
            (5, Stand::of(Some(false), false, true)),
            (6, Stand::of(Some(false), true, false)),
        ];
        stands.into_iter().collect()
    }

    #[test]
    fn what_is_not_known_to_serve_is_unhappy_and_what_has_to_go_is_a_candidate_last() {
        let standing = standing();
        assert_eq!((&standing.happy[..], &standing.unhappy[..]), (&[1, 6][..], &[2, 5][..]));
        assert_eq!((&standing.draining[..], &standing.at_risk[..]), (&[3][..], &[4][..]));
        assert_eq!(standing.candidates(), [1, 6, 2, 5, 4]);
    }

    #[test]
    fn surplus_is_taken_where_it_is_missed_least() {
        let all =
            [vec![], vec![3], vec![3, 2], vec![3, 2, 5], vec![3, 2, 5, 4], vec![3, 2, 5, 4, 1]];
        for (count, wanted) in all.into_iter().enumerate() {
            let mut left = standing();
            let Standing { happy, unhappy, draining, at_risk } = left.take_surplus(count);
            assert_eq!([draining, unhappy, at_risk, happy].concat(), wanted);
            assert_eq!(left.candidates().len() + left.draining.len(), 6 - count);
        }
        assert_eq!(standing().take_surplus(100), standing());
    }
}
