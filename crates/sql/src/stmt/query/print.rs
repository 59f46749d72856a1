//! Queries and DML as text.

use std::fmt;

use lakeport_base::name::quote_ident;

use super::{Assignment, Delete, Insert, Merge, MergeAction, MergeClause, OnConflict, Pairs, Query, Update};
use crate::print::{columns, list, optional};

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shows = self.shows.iter().map(|(name, statement)| (name, format!("[{statement}]")));
        let files = self.files.iter().map(|(name, files)| (name, files.to_string()));
        let mut sources: Vec<(&String, String)> = shows.chain(files).collect();
        // The longest first, because show_1 begins show_10.
        sources.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let text = sources.iter().fold(self.text.clone(), |text, (name, source)| text.replace(*name, source));
        write!(f, "{text}{}", optional(" AS OF SYSTEM TIME ", self.as_of.as_ref()))
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", quote_ident(&self.column), self.value)
    }
}

impl fmt::Display for OnConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OnConflict::Fail | OnConflict::Replace => Ok(()),
            OnConflict::Nothing { columns: names } => write!(f, " ON CONFLICT{} DO NOTHING", columns(names)),
            OnConflict::Update { columns: names, assignments, filter } => {
                write!(f, " ON CONFLICT{} DO UPDATE SET {}", columns(names), list(assignments))?;
                f.write_str(&optional(" WHERE ", filter.as_ref()))
            }
        }
    }
}

impl fmt::Display for Insert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.on_conflict == OnConflict::Replace { "UPSERT" } else { "INSERT" };
        write!(f, "{verb} INTO {}{} ", self.table, columns(&self.columns))?;
        match &self.source {
            Some(source) => source.fmt(f)?,
            None => f.write_str("DEFAULT VALUES")?,
        }
        write!(f, "{}{}", self.on_conflict, optional(" RETURNING ", self.returning.as_ref()))
    }
}

/// `table [AS alias]`
fn target(table: &lakeport_base::QualifiedName, alias: Option<&String>) -> String {
    let alias = alias.map(|alias| quote_ident(alias));
    format!("{table}{}", optional(" AS ", alias.as_ref()))
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = target(&self.table, self.alias.as_ref());
        write!(f, "UPDATE {target} SET {}{}", list(&self.assignments), optional(" FROM ", self.from.as_ref()))?;
        let filter = optional(" WHERE ", self.filter.as_ref());
        write!(f, "{filter}{}", optional(" RETURNING ", self.returning.as_ref()))
    }
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = target(&self.table, self.alias.as_ref());
        write!(f, "DELETE FROM {target}{}", optional(" USING ", self.using.as_ref()))?;
        let filter = optional(" WHERE ", self.filter.as_ref());
        write!(f, "{filter}{}", optional(" RETURNING ", self.returning.as_ref()))
    }
}

impl fmt::Display for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = target(&self.table, self.alias.as_ref());
        write!(f, "MERGE INTO {target} USING {} ON {}", self.source, self.condition)?;
        self.clauses.iter().try_for_each(|clause| write!(f, " {clause}"))?;
        f.write_str(&optional(" RETURNING ", self.returning.as_ref()))
    }
}

impl fmt::Display for MergeClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = match self.pairs {
            Pairs::Matched => "MATCHED",
            Pairs::NotMatchedByTarget => "NOT MATCHED",
            Pairs::NotMatchedBySource => "NOT MATCHED BY SOURCE",
        };
        write!(f, "WHEN {pairs}{} THEN {}", optional(" AND ", self.condition.as_ref()), self.action)
    }
}

impl fmt::Display for MergeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MergeAction::Update(assignments) => write!(f, "UPDATE SET {}", list(assignments)),
            MergeAction::Delete => f.write_str("DELETE"),
            MergeAction::Insert { values: None, .. } => f.write_str("INSERT DEFAULT VALUES"),
            MergeAction::Insert { columns: names, values: Some(values) } => {
                write!(f, "INSERT{} VALUES ({})", columns(names), list(values))
            }
            MergeAction::Nothing => f.write_str("DO NOTHING"),
        }
    }
}
