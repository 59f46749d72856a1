//! The answer to a statement as psql would print it.

use std::fmt::Write;

use tokio_postgres::SimpleQueryMessage;

/// Prints messages of one statement: a table and its row count, or the number of rows changed.
pub fn print(messages: &[SimpleQueryMessage]) -> String {
    let mut text = String::new();
    let mut names = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                names = columns.iter().map(|column| column.name().to_string()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_string()).collect());
            }
            SimpleQueryMessage::CommandComplete(_) if !names.is_empty() => text += &table(&names, &rows),
            SimpleQueryMessage::CommandComplete(0) => text += "OK\n",
            SimpleQueryMessage::CommandComplete(count) => {
                let _ = writeln!(text, "OK, {}", counted(*count as usize));
            }
            _ => {}
        }
    }
    text
}

fn counted(rows: usize) -> String {
    format!("{rows} row{}", if rows == 1 { "" } else { "s" })
}

fn table(names: &[String], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..names.len())
        .map(|column| cells(column).chain([&names[column]]).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let numeric: Vec<bool> = (0..names.len())
        .map(|column| !rows.is_empty() && cells(column).all(|cell| cell == "NULL" || cell.parse::<f64>().is_ok()))
        .collect();
    let mut text = line(names, &widths, &vec![false; names.len()]);
    text += &widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    text.push('\n');
    for row in rows {
        text += &line(row, &widths, &numeric);
    }
    let _ = writeln!(text, "({})", counted(rows.len()));
    text
}

/// Cells between bars, padded; numbers to the right.
fn line(cells: &[String], widths: &[usize], right: &[bool]) -> String {
    let padded = cells.iter().zip(widths).zip(right).map(|((cell, width), right)| {
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        if *right { format!(" {padding}{cell} ") } else { format!(" {cell}{padding} ") }
    });
    let mut text = padded.collect::<Vec<_>>().join("|");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_like_psql() {
        let names = ["city".to_string(), "n".to_string()];
        let rows = [vec!["rome".to_string(), "12".to_string()], vec!["amsterdam".to_string(), "3".to_string()]];
        let expected = [" city      | n", "-----------+----", " rome      | 12", " amsterdam |  3", "(2 rows)", ""];
        assert_eq!(table(&names, &rows), expected.join("\n"));
    }
}
