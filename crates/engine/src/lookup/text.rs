//! Lookups as they are read from the text of a query. A lookup of another value is another text, and a syntax tree takes
//! longer to make than the row to find.
//!
//! What is not plainly a lookup is none here: such a text goes to the parser, which knows the whole grammar.

use lakeport_base::QualifiedName;
use lakeport_base::name::is_reserved;
use lakeport_core::show::{definition, pg_catalog};

use super::{Lookup, Shown, Sought};

/// Most columns of a key that is looked for.
const KEY_COLUMNS_MAX: usize = 32;

/// Names of columns that stand for something else.
const SPECIAL_NAMES: &[&str] = &["current_catalog", "current_role", "current_schema", "tableoid"];

/// The part of a text that was not read yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

enum Token<'a> {
    /// A word without quotes.
    Word(&'a str),
    /// A name in quotes.
    Name(String),
    /// Decimal digits.
    Number(&'a str),
    Text(String),
    /// The number of a `$n`.
    Param(usize),
    Sign(char),
}

/// A column as a query names it.
struct Named {
    qualifier: Option<String>,
    name: String,
}

/// A column with its name for the client, if that is another.
type Labelled = (Named, Option<String>);

impl Lookup {
    /// The lookup that a query is, if it has the form of one.
    pub fn read(sql: &str) -> Option<Lookup> {
        let mut rest = Rest(sql);
        rest.keyword("select")?;
        let list = rest.select_list()?;
        rest.keyword("from")?;
        let table = rest.qualified_name()?;
        let schema = table.qualifiers().last().map_or(pg_catalog::SCHEMA, String::as_str);
        if definition::find(schema, table.name()).is_some() {
            return None;
        }
        rest.keyword("where")?;
        let mut key = vec![rest.condition(&table)?];
        while !rest.0.trim_ascii_start().is_empty() {
            rest.keyword("and")?;
            let (column, sought) = rest.condition(&table)?;
            if key.len() == KEY_COLUMNS_MAX || key.iter().any(|(known, _)| *known == column) {
                return None;
            }
            key.push((column, sought));
        }
        let shown = match list.is_empty() {
            true => Shown::All,
            false => Shown::Columns(list.into_iter().map(|column| shown(column, &table)).collect::<Option<_>>()?),
        };
        Some(Lookup { table, shown, key })
    }
}

/// A column of the select list, with the name that the client sees.
fn shown((column, label): Labelled, table: &QualifiedName) -> Option<(String, String)> {
    let column = column.of(table)?;
    Some((column.clone(), label.unwrap_or(column)))
}

impl Named {
    /// The column's name, unless it is another table's.
    fn of(self, table: &QualifiedName) -> Option<String> {
        self.qualifier.is_none_or(|qualifier| qualifier == table.name()).then_some(self.name)
    }
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.0.trim_ascii_start();
        let first = text.chars().next()?;
        let (token, rest) = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let (word, rest) = split(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'));
                // The quote of a literal such as `E'..'` belongs to the word.
                let bare = !rest.starts_with(|next: char| next == '\'' || !next.is_ascii());
                (bare.then_some(Token::Word(word))?, rest)
            }
            '0'..='9' => {
                let (digits, rest) = number(text)?;
                (Token::Number(digits), rest)
            }
            '$' => {
                let (digits, rest) = number(&text[1..])?;
                (Token::Param(digits.parse().ok()?), rest)
            }
            '"' => quoted(&text[1..], '"').map(|(name, rest)| (Token::Name(name), rest))?,
            '\'' => quoted(&text[1..], '\'').map(|(value, rest)| (Token::Text(value), rest))?,
            '*' | ',' | '.' | '=' | '-' => (Token::Sign(first), &text[1..]),
            _ => return None,
        };
        self.0 = rest;
        Some(token)
    }

    /// Reads on if a token follows for which `wanted` answers.
    fn take<T>(&mut self, wanted: impl FnOnce(Token<'a>) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let found = wanted(ahead.next()?)?;
        *self = ahead;
        Some(found)
    }

    fn keyword(&mut self, keyword: &str) -> Option<()> {
        self.take(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword)).then_some(()))
    }

    fn sign(&mut self, wanted: char) -> Option<()> {
        self.take(|token| matches!(token, Token::Sign(sign) if sign == wanted).then_some(()))
    }

    /// A name that is no word of the grammar.
    fn name(&mut self) -> Option<String> {
        let name = self.take(|token| match token {
            Token::Word(word) => Some(word.to_ascii_lowercase()).filter(|word| !is_reserved(word)),
            Token::Name(name) => Some(name),
            _ => None,
        })?;
        (!SPECIAL_NAMES.contains(&name.as_str())).then_some(name)
    }

    fn qualified_name(&mut self) -> Option<QualifiedName> {
        let mut parts = vec![self.name()?];
        while self.sign('.').is_some() {
            parts.push(self.name()?);
        }
        Some(QualifiedName { parts })
    }

    fn column(&mut self) -> Option<Named> {
        let mut parts = self.qualified_name()?.parts;
        let name = parts.pop()?;
        let qualifier = parts.pop();
        parts.is_empty().then_some(Named { qualifier, name })
    }

    /// Columns with the names that the client is to see, if others; none stand for `*`.
    fn select_list(&mut self) -> Option<Vec<Labelled>> {
        let mut columns = Vec::new();
        if self.sign('*').is_some() {
            return Some(columns);
        }
        loop {
            let column = self.column()?;
            let label = match self.keyword("as") {
                Some(()) => Some(self.label()?),
                None => None,
            };
            columns.push((column, label));
            if self.sign(',').is_none() {
                return Some(columns);
            }
        }
    }

    /// The name after AS, which may be any word.
    fn label(&mut self) -> Option<String> {
        self.take(|token| match token {
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            Token::Name(name) => Some(name),
            _ => None,
        })
    }

    /// `column = value`
    fn condition(&mut self, table: &QualifiedName) -> Option<(String, Sought)> {
        let column = self.column()?.of(table)?;
        self.sign('=')?;
        let negative = self.sign('-').is_some();
        let sought = self.take(|token| match token {
            Token::Number(digits) if negative => Some(Sought::Number(format!("-{digits}"))),
            Token::Number(digits) => Some(Sought::Number(digits.to_string())),
            Token::Text(text) if !negative => Some(Sought::Text(text)),
            Token::Param(number) if !negative => Some(Sought::Param(number.checked_sub(1)?)),
            _ => None,
        })?;
        Some((column, sought))
    }
}

/// The first bytes that `is_part` takes, and what follows them. It takes ASCII only.
fn split(text: &str, is_part: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len()))
}

/// A whole number, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let (digits, rest) = split(text, |byte| byte.is_ascii_digit());
    let goes_on = |next: char| next.is_alphanumeric() || matches!(next, '.' | '_' | '$');
    (!digits.is_empty() && !rest.starts_with(goes_on)).then_some((digits, rest))
}

/// What stands before the closing quote, which is doubled within, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once(quote)?;
        value.push_str(part);
        match after.strip_prefix(quote) {
            Some(more) => {
                value.push(quote);
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lookup, Shown, Sought};

    #[test]
    fn only_plain_equalities_on_one_table_are_lookups() {
        for sql in [
            "SELECT a, b AS c FROM t WHERE id = 1",
            "SELECT t.a FROM s.t WHERE t.id = $1 AND k = 'x'",
            "SELECT * FROM \"T\" WHERE id = -1",
            "select a as select from d.s.t where id=1 ",
        ] {
            assert!(Lookup::read(sql).is_some(), "{sql}");
        }
        for sql in [
            "",
            "SELECT FROM t WHERE id = 1",
            "SELECT oid FROM pg_type WHERE oid = 1",
            "SELECT a FROM t",
            "SELECT a FROM t WHERE",
            "SELECT a, FROM t WHERE id = 1",
            "SELECT a + 1 FROM t WHERE id = 1",
            "SELECT u.a FROM t WHERE id = 1",
            "SELECT t.* FROM t WHERE id = 1",
            "SELECT t.a.b FROM t WHERE id = 1",
            "SELECT current_role FROM t WHERE id = 1",
            "SELECT current_user FROM t WHERE id = 1",
            "SELECT \"tableoid\" FROM t WHERE id = 1",
            "SELECT a FROM t WHERE id = 1 OR id = 2",
            "SELECT a FROM t WHERE id = 1 AND id = 2",
            "SELECT a FROM t WHERE id = b",
            "SELECT a FROM t WHERE id = NULL",
            "SELECT a FROM t WHERE id > 1",
            "SELECT a FROM t WHERE id = 1.5",
            "SELECT a FROM t WHERE id = 1e5",
            "SELECT a FROM t WHERE id = 1_000",
            "SELECT a FROM t WHERE id = 1 + 1",
            "SELECT a FROM t WHERE id = $0",
            "SELECT a FROM t WHERE id = -$1",
            "SELECT a FROM t WHERE id = -'1'",
            "SELECT a FROM t WHERE id = E'x'",
            "SELECT a FROM t WHERE id = 'x",
            "SELECT a FROM t WHERE id = 'x'::TEXT",
            "SELECT a FROM t WHERE id = 1 -- end",
            "SELECT a FROM t WHERE id = 1;",
            "SELECT a FROM t WHERE id = 1 LIMIT 0",
            "SELECT a FROM t WHERE id = 1 FOR UPDATE",
            "SELECT DISTINCT a FROM t WHERE id = 1",
            "SELECT count(*) FROM t WHERE id = 1",
            "SELECT a FROM t AS x WHERE id = 1",
            "SELECT a FROM t x WHERE id = 1",
            "SELECT a FROM t, u WHERE id = 1",
            "SELECT a FROM t JOIN u ON true WHERE id = 1",
            "SELECT a FROM t WHERE id = 1 GROUP BY a",
            "WITH t AS (SELECT 1 AS id) SELECT id FROM t WHERE id = 1",
            "EXPLAIN SELECT a FROM t WHERE id = 1",
            "SELECT a FROM generate_series(1, 2) WHERE id = 1",
            "SELECT \u{e9}a FROM t WHERE id = 1",
            "SELECT a\u{e9} FROM t WHERE id = 1",
        ] {
            assert!(Lookup::read(sql).is_none(), "{sql}");
        }
    }

    #[test]
    fn names_fold_and_quotes_come_off() {
        let sql = r#"SELECT A, "B""b", t.c AS "D" FROM S.t WHERE Id = 'it''s' AND k = $2 AND n = -7"#;
        let Lookup { table, shown, key } = Lookup::read(sql).expect("a lookup");
        assert_eq!(table.to_string(), "s.t");
        let Shown::Columns(columns) = shown else { panic!("a list") };
        let columns: Vec<_> = columns.iter().map(|(column, label)| (column.as_str(), label.as_str())).collect();
        assert_eq!(columns, [("a", "a"), ("B\"b", "B\"b"), ("c", "D")]);
        let value = |sought: &Sought| match sought {
            Sought::Number(digits) => digits.clone(),
            Sought::Text(text) => format!("{text:?}"),
            Sought::Param(position) => format!("at {position}"),
        };
        let key: Vec<_> = key.iter().map(|(column, sought)| (column.as_str(), value(sought))).collect();
        assert_eq!(key, [("id", "\"it's\"".to_string()), ("k", "at 1".to_string()), ("n", "-7".to_string())]);
    }
}
