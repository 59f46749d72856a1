//! "Did you mean ...": the closest of a list of names.

/// The candidate within two edits of `found` (case ignored), if there is one. Half of a short name must stay.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_ascii_lowercase();
    let allowed = |candidate: &str| 2.max(candidate.len() / 4).min(found.len().min(candidate.len()) / 2);
    candidates
        .into_iter()
        // Spares the work for a name that is much too long, whatever its length.
        .filter(|candidate| candidate.len().abs_diff(found.len()) <= allowed(candidate))
        .map(|candidate| (distance(&found, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_typo_and_a_wrong_case_but_not_a_stranger() {
        let names = ["AWS_REGION", "AWS_ENDPOINT"];
        assert_eq!(nearest("AWS_REGOIN", names), Some("AWS_REGION"));
        assert_eq!(nearest("aws_endpoint", names), Some("AWS_ENDPOINT"));
        assert_eq!(nearest("COLOUR", names), None);
        assert_eq!(nearest("mod", ["cot"]), None);
        assert_eq!(nearest("form", ["from"]), Some("from"));
    }
}
