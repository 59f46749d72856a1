//! The options of COPY INTO a table and of COPY INTO a location: `NAME = value [,] ...`

use sqlparser::tokenizer::Token;

use super::stage::location::{Parameter, parameters};
use crate::cursor::{Cursor, Result, Seen};

/// The name of an option, and what reads that which follows it into the statement.
pub(super) type Row<S> = (&'static str, fn(&mut S, &mut Cursor) -> Result<()>);

/// Reads options up to the end of the statement or of the brackets, each once, with commas between them or not.
pub(super) fn read<S>(table: &[Row<S>], statement: &mut S, c: &mut Cursor) -> Result<()> {
    let mut seen = Seen::default();
    while !c.is_at_end() && !c.is_symbol(&Token::RParen) {
        let position = c.position();
        let Some((name, read)) = table.iter().find(|(name, _)| c.keywords(name)) else {
            return Err(c.expected_option(&table.iter().map(|(name, _)| *name).collect::<Vec<_>>()));
        };
        seen.once(name, position)?;
        read(statement, c)?;
        c.symbol(&Token::Comma);
    }
    Ok(())
}

/// `= value`
pub(super) fn value<T>(option: &mut T, c: &mut Cursor, read: impl FnOnce(&mut Cursor) -> Result<T>) -> Result<()> {
    c.expect_symbol(&Token::Eq)?;
    *option = read(c)?;
    Ok(())
}

/// `= TRUE` or `= FALSE`
pub(super) fn flag(option: &mut bool, c: &mut Cursor) -> Result<()> {
    value(option, c, |c| c.one_of(&["TRUE", "FALSE"]).map(|word| word == "TRUE").ok_or_else(|| c.error()))
}

/// `= n`
pub(super) fn count(option: &mut u64, c: &mut Cursor) -> Result<()> {
    value(option, c, |c| c.count().map(|count| count as u64))
}

/// `= (TYPE = type ...)`
pub(super) fn file_format(option: &mut Option<Vec<Parameter>>, c: &mut Cursor) -> Result<()> {
    value(option, c, |c| parameters(c).map(Some))
}
