//! What a regular expression matches of a text, for `regexp_matches`.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::{Error, Result as CoreResult};
use regex::{Captures, Regex, RegexBuilder};

use super::scalar::{Call, Scalar, failed};

/// Name of the function whose items `regexp_matches` makes rows of.
pub(crate) const MATCH_LIST: &str = "regexp_match_list";

/// `regexp_match_list(text, pattern [, flags])`: for each match a list of what its groups hold, or of the match itself
/// where there are none. Only the first match, unless the flags have a `g`.
pub(super) fn function() -> Scalar {
    let texts = DataType::new_list(DataType::Utf8, true);
    Scalar::of_any(MATCH_LIST, &[2, 3], SqlType::Text, lists)
        .returning(move |_| DataType::new_list(texts.clone(), true))
}

fn lists(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (call.texts(0)?, call.texts(1)?);
    let flags = call.columns().get(2).map(|_| call.texts(2)).transpose()?;
    let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    let mut last: Option<(String, String, Pattern)> = None;
    for row in 0..call.rows {
        let flags = flags.as_ref().map(|flags| given(flags, row)).unwrap_or(Some(""));
        let (Some(text), Some(pattern), Some(flags)) = (given(&texts, row), given(&patterns, row), flags) else {
            lists.append_null();
            continue;
        };
        if last.as_ref().is_none_or(|(old, old_flags, _)| old != pattern || old_flags != flags) {
            let compiled = Pattern::compile(pattern, flags).map_err(failed)?;
            last = Some((pattern.to_string(), flags.to_string(), compiled));
        }
        if let Some((.., pattern)) = &last {
            pattern.append_matches(text, lists.values());
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn given(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

struct Pattern {
    regex: Regex,
    all: bool,
}

impl Pattern {
    /// # Errors
    /// 22023 for an unknown flag, 2201B for what is no regular expression.
    fn compile(pattern: &str, flags: &str) -> CoreResult<Pattern> {
        let mut builder = RegexBuilder::new(pattern);
        let mut all = false;
        builder.dot_matches_new_line(true);
        for flag in flags.chars() {
            match flag {
                'g' => all = true,
                'i' => _ = builder.case_insensitive(true),
                'c' => _ = builder.case_insensitive(false),
                'x' => _ = builder.ignore_whitespace(true),
                // New lines end what a dot and a bracket match, and begin what ^ and $ match.
                'n' | 'm' => _ = builder.dot_matches_new_line(false).multi_line(true),
                's' => _ = builder.dot_matches_new_line(true).multi_line(false),
                other => return Err(Error::invalid(format!("invalid regular expression option: \"{other}\""))),
            }
        }
        let regex = builder.build().map_err(|error| {
            let message = format!("invalid regular expression: {pattern:?}");
            Error::new(Sqlstate::INVALID_REGULAR_EXPRESSION, message).with_source(error)
        })?;
        Ok(Pattern { regex, all })
    }

    fn append_matches(&self, text: &str, lists: &mut ListBuilder<StringBuilder>) {
        let most = if self.all { usize::MAX } else { 1 };
        for found in self.regex.captures_iter(text).take(most) {
            append_groups(&found, lists);
        }
    }
}

fn append_groups(found: &Captures<'_>, lists: &mut ListBuilder<StringBuilder>) {
    let whole = usize::from(found.len() > 1);
    for group in found.iter().skip(whole) {
        lists.values().append_option(group.map(|group| group.as_str()));
    }
    lists.append(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_matches() {
        let count = |pattern: &str, flags: &str, text: &str| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            Pattern::compile(pattern, flags).unwrap().append_matches(text, &mut lists);
            lists.finish().len()
        };
        assert_eq!(count("b.", "", "barbeque"), 1);
        assert_eq!(count("B.", "gi", "barbeque"), 2);
        assert_eq!(count("a.b", "", "a\nb"), 1);
        assert_eq!(count("a.b", "n", "a\nb"), 0);
        assert_eq!(count("^.", "gn", "a\nb"), 2);
        assert_eq!(Pattern::compile("a", "z").err().map(|error| error.code()), Some(Sqlstate::INVALID_PARAMETER_VALUE));
        assert_eq!(
            Pattern::compile("(", "").err().map(|error| error.code()),
            Some(Sqlstate::INVALID_REGULAR_EXPRESSION)
        );
    }
}
