//! What holds for every text; for fuzzers and tests.

use crate::{Parsed, SyntaxError, SyntaxErrorKind, parse, parse_one};

/// Reads a text. Each statement prints to a text that reads as the same statement; an error lies inside the text.
///
/// # Panics
/// When that does not hold.
pub fn statements(text: &str) {
    match parse(text) {
        Ok(statements) => statements.iter().for_each(|parsed| {
            stands_where_it_says(text, parsed);
            prints_back(parsed);
        }),
        Err(error) => {
            let places = 1..=text.chars().count() + 1;
            assert!(places.contains(&error.position), "{text:?}: {error:?}");
        }
    }
}

fn stands_where_it_says(text: &str, parsed: &Parsed) {
    let start = text.char_indices().nth(parsed.position - 1).map_or(text.len(), |(start, _)| start);
    assert!(text[start..].starts_with(&parsed.text), "{text:?}: {:?} at {}", parsed.text, parsed.position);
    let alone = parse_one(&parsed.text).unwrap_or_else(|error| panic!("{:?} alone: {error:?}", parsed.text));
    assert_eq!(alone.statement, parsed.statement, "{:?} alone", parsed.text);
}

fn prints_back(parsed: &Parsed) {
    let printed = parsed.statement.to_string();
    match parse_one(&printed) {
        Ok(again) => assert_eq!(again.statement.to_string(), printed, "{:?}", parsed.text),
        Err(error) => assert!(is_limit(&error), "{:?} prints as {printed:?}: {error:?}", parsed.text),
    }
}

/// Whether a text has too much of something: what a statement prints as may be longer than what was written.
fn is_limit(error: &SyntaxError) -> bool {
    matches!(error.kind, SyntaxErrorKind::TooComplex | SyntaxErrorKind::TooManyColumns)
}
