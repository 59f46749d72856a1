//! `LIKE` with texts and `%` only: a search for one text after the other, which takes a fraction of what an automaton does.

use arrow_array::{BooleanArray, StringArray};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Like;
use memchr::memmem::Finder;

/// What a text begins with, what it holds after that in this order, and what it ends with.
#[derive(Clone, Debug)]
pub(super) struct SimpleLike {
    start: String,
    middle: Vec<Finder<'static>>,
    end: String,
    negated: bool,
}

impl SimpleLike {
    /// None if the pattern has other signs than `%`, or none at all.
    pub fn of(filter: &Expr) -> Option<SimpleLike> {
        let Expr::Like(Like { negated, pattern, escape_char: None, case_insensitive: false, .. }) = filter else {
            return None;
        };
        let pattern = pattern.as_literal()?.try_as_str().flatten()?;
        if pattern.contains(['_', '\\']) {
            return None;
        }
        let (start, others) = pattern.split_once('%')?;
        let (middle, end) = others.rsplit_once('%').unwrap_or(("", others));
        let middle = middle.split('%').filter(|text| !text.is_empty());
        let middle = middle.map(|text| Finder::new(text).into_owned()).collect();
        Some(SimpleLike { start: start.to_string(), middle, end: end.to_string(), negated: *negated })
    }

    /// Whether each text matches.
    pub fn matches(&self, texts: &StringArray) -> BooleanArray {
        texts.iter().map(|text| text.map(|text| self.is_match(text.as_bytes()) != self.negated)).collect()
    }

    fn is_match(&self, text: &[u8]) -> bool {
        let Some(mut rest) = text.strip_prefix(self.start.as_bytes()) else { return false };
        for finder in &self.middle {
            match finder.find(rest) {
                Some(at) => rest = &rest[at + finder.needle().len()..],
                None => return false,
            }
        }
        rest.ends_with(self.end.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use datafusion::arrow::compute::{like, nlike};
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn the_same_texts_match_as_by_the_kernel() {
        let texts = ["", "a", "ab", "aba", "abab", "ba", "b%a", "aäb", "special requests", "requests special"];
        let texts = StringArray::from(texts.iter().copied().map(Some).chain([None]).collect::<Vec<_>>());
        for pattern in
            ["%", "%%", "a%", "%a", "%b%", "a%a", "ab%ab", "%a%b%", "%b%a%", "%ä%", "%special%requests%", "ab%ba"]
        {
            let scalar = StringArray::new_scalar(pattern);
            let matches = |filter| SimpleLike::of(&filter).unwrap().matches(&texts);
            assert_eq!(matches(col("t").like(lit(pattern))), like(&texts, &scalar).unwrap(), "{pattern}");
            assert_eq!(matches(col("t").not_like(lit(pattern))), nlike(&texts, &scalar).unwrap(), "{pattern}");
        }
    }

    #[test]
    fn others_are_not_simple() {
        for pattern in ["a", "a_%", "%\\%", "%_"] {
            assert!(SimpleLike::of(&col("t").like(lit(pattern))).is_none(), "{pattern}");
        }
        assert!(SimpleLike::of(&col("t").ilike(lit("%a%"))).is_none());
        assert!(SimpleLike::of(&lit(true)).is_none());
    }
}
