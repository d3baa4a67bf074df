//! What somebody may have meant.

/// The known word that `word` is probably a misspelling of.
pub(super) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    let (distance, nearest) = distances.min()?;
    // Half of a short word changed is another word.
    (distance <= 3 && distance * 3 <= nearest.len()).then_some(nearest)
}

/// How many letters must be put in, left out or changed, at most some hundred.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().take(100).collect(), b.chars().collect());
    let mut before: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let changed = before[column] + usize::from(letter != other);
            now.push(changed.min(before[column + 1] + 1).min(now[column] + 1));
        }
        before = now;
    }
    before.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let known = ["cache_time", "healthcheck_timeout", "targets", "token"];
        let cases = [
            ("cache_tme", Some("cache_time")),
            ("cachetime", Some("cache_time")),
            ("healthcheck_timeouts", Some("healthcheck_timeout")),
            ("target", Some("targets")),
            ("tokn", Some("token")),
            ("port", None),
            ("", None),
            ("statsd_host", None),
        ];
        for (word, expected) in cases {
            assert_eq!(meant(word, &known), expected, "{word}");
        }
        assert_eq!(meant("x", &[]), None);
    }
}
