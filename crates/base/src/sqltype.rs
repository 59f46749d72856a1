//! Types of columns and of results, their SQL spellings and PostgreSQL OIDs.

use std::fmt;

/// A type of columns and of results. Stored in the catalog and in the metadata of Arrow fields by its
/// [`Display`](fmt::Display) form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision 1 to 38, scale 0 to precision. `DECIMAL` without arguments is `(38, 10)`.
    Decimal(u8, u8),
    Text,
    /// Text of at most so many characters.
    Varchar(u32),
    Bytes,
    Date,
    /// Microseconds, no zone.
    Timestamp,
    /// Microseconds since the Unix epoch, UTC.
    TimestampTz,
    Uuid,
    Jsonb,
    /// Months, days and microseconds. Of expressions only: no table can hold it.
    Interval,
    /// One-dimensional.
    Array(Box<SqlType>),
}

/// Precision of `DECIMAL` without arguments.
pub const DECIMAL_PRECISION_DEFAULT: u8 = 38;
/// Scale of `DECIMAL` without arguments.
pub const DECIMAL_SCALE_DEFAULT: u8 = 10;

impl SqlType {
    /// `DECIMAL` without arguments.
    pub const DECIMAL: SqlType = SqlType::Decimal(DECIMAL_PRECISION_DEFAULT, DECIMAL_SCALE_DEFAULT);

    /// Reads a type as written in SQL or by `Display`: any documented alias, any case, optional
    /// length or precision, `[]`, ` ARRAY` or `ARRAY( )` for arrays. `None` when it is not one of ours.
    pub fn parse(text: &str) -> Option<SqlType> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(element) = array_element(&text) {
            // Arrays have one dimension; asked before it is read, so that a row of brackets is no recursion.
            let is_scalar = array_element(element.trim_end()).is_none();
            return is_scalar.then(|| SqlType::parse(element))?.map(|element| SqlType::Array(Box::new(element)));
        }
        let (name, arguments, rest) = split_arguments(&text)?;
        let name = format!("{name}{rest}");
        SqlType::from_parts(name.trim(), &arguments)
    }

    /// The type of a lower-case name and its arguments in parentheses.
    fn from_parts(name: &str, arguments: &[u32]) -> Option<SqlType> {
        Some(match (name, arguments) {
            ("decimal" | "numeric" | "dec", arguments) => return decimal(arguments),
            ("varchar" | "character varying" | "char" | "character" | "bpchar" | "string" | "text", [length]) => {
                SqlType::Varchar((*length > 0).then_some(*length)?)
            }
            ("char" | "character", []) => SqlType::Varchar(1),
            ("timestamp" | "timestamp without time zone", [] | [0..=6]) => SqlType::Timestamp,
            ("timestamptz" | "timestamp with time zone", [] | [0..=6]) => SqlType::TimestampTz,
            ("interval", [] | [0..=6]) => SqlType::Interval,
            ("float", [1..=24]) => SqlType::Float4,
            ("float", [25..=53]) => SqlType::Float8,
            (_, [_, ..]) => return None,
            ("bool" | "boolean", []) => SqlType::Bool,
            ("int2" | "smallint", []) => SqlType::Int2,
            ("int4", []) => SqlType::Int4,
            ("int" | "int8" | "int64" | "integer" | "bigint", []) => SqlType::Int8,
            ("float4" | "real", []) => SqlType::Float4,
            ("float" | "float8" | "double precision" | "double", []) => SqlType::Float8,
            ("text" | "string" | "varchar" | "character varying" | "name" | "citext" | "bpchar", []) => SqlType::Text,
            ("bytes" | "bytea" | "blob" | "binary", []) => SqlType::Bytes,
            ("date", []) => SqlType::Date,
            ("uuid", []) => SqlType::Uuid,
            ("jsonb" | "json" | "variant", []) => SqlType::Jsonb,
            _ => return None,
        })
    }

    /// Whether it is a DECIMAL without a declared scale, as computed ones are: zeros at its end are not shown.
    pub fn has_free_scale(&self) -> bool {
        matches!(self, SqlType::Decimal(DECIMAL_PRECISION_DEFAULT, DECIMAL_SCALE_DEFAULT..))
    }

    /// Whether a column of a table can be of the type.
    pub fn is_storable(&self) -> bool {
        let is_nested = matches!(self, SqlType::Array(element) if matches!(**element, SqlType::Array(_)));
        !is_nested && !self.has_intervals()
    }

    /// Whether values of the type are intervals, or hold some.
    pub fn has_intervals(&self) -> bool {
        match self {
            SqlType::Array(element) => element.has_intervals(),
            ty => *ty == SqlType::Interval,
        }
    }

    /// The type's OID in `pg_type`.
    pub fn oid(&self) -> u32 {
        match self {
            SqlType::Bool => 16,
            SqlType::Bytes => 17,
            SqlType::Int8 => 20,
            SqlType::Int2 => 21,
            SqlType::Int4 => 23,
            SqlType::Text => 25,
            SqlType::Float4 => 700,
            SqlType::Float8 => 701,
            SqlType::Varchar(_) => 1043,
            SqlType::Date => 1082,
            SqlType::Timestamp => 1114,
            SqlType::TimestampTz => 1184,
            SqlType::Interval => 1186,
            SqlType::Decimal(..) => 1700,
            SqlType::Uuid => 2950,
            SqlType::Jsonb => 3802,
            SqlType::Array(element) => element.array_oid(),
        }
    }

    fn array_oid(&self) -> u32 {
        match self {
            SqlType::Bool => 1000,
            SqlType::Bytes => 1001,
            SqlType::Int8 => 1016,
            SqlType::Int2 => 1005,
            SqlType::Int4 => 1007,
            SqlType::Text => 1009,
            SqlType::Float4 => 1021,
            SqlType::Float8 => 1022,
            SqlType::Varchar(_) => 1015,
            SqlType::Date => 1182,
            SqlType::Timestamp => 1115,
            SqlType::TimestampTz => 1185,
            SqlType::Interval => 1187,
            SqlType::Decimal(..) => 1231,
            SqlType::Uuid => 2951,
            SqlType::Jsonb => 3807,
            SqlType::Array(_) => 2277,
        }
    }
}

/// What stands before `[]` or ` array`, or in `array(...)` as Databend writes it, in lower case.
fn array_element(text: &str) -> Option<&str> {
    let in_brackets = || text.strip_prefix("array")?.trim_start().strip_prefix('(')?.strip_suffix(')');
    text.strip_suffix("[]").or_else(|| text.strip_suffix(" array")).or_else(in_brackets)
}

/// Splits `name(1,2) rest` into its three parts.
fn split_arguments(text: &str) -> Option<(&str, Vec<u32>, &str)> {
    let Some(open) = text.find('(') else { return Some((text, Vec::new(), "")) };
    let close = text.find(')')?;
    let arguments = text.get(open + 1..close)?.split(',').map(|a| a.trim().parse().ok()).collect::<Option<_>>()?;
    Some((text[..open].trim_end(), arguments, &text[close + 1..]))
}

fn decimal(arguments: &[u32]) -> Option<SqlType> {
    let (precision, scale) = match arguments {
        [] => (u32::from(DECIMAL_PRECISION_DEFAULT), u32::from(DECIMAL_SCALE_DEFAULT)),
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return None,
    };
    ((1..=38).contains(&precision) && scale <= precision).then_some(SqlType::Decimal(precision as u8, scale as u8))
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Bool => f.write_str("BOOL"),
            SqlType::Int2 => f.write_str("INT2"),
            SqlType::Int4 => f.write_str("INT4"),
            SqlType::Int8 => f.write_str("INT8"),
            SqlType::Float4 => f.write_str("FLOAT4"),
            SqlType::Float8 => f.write_str("FLOAT8"),
            SqlType::Decimal(precision, scale) => write!(f, "DECIMAL({precision},{scale})"),
            SqlType::Text => f.write_str("STRING"),
            SqlType::Varchar(length) => write!(f, "VARCHAR({length})"),
            SqlType::Bytes => f.write_str("BYTES"),
            SqlType::Date => f.write_str("DATE"),
            SqlType::Timestamp => f.write_str("TIMESTAMP"),
            SqlType::TimestampTz => f.write_str("TIMESTAMPTZ"),
            SqlType::Uuid => f.write_str("UUID"),
            SqlType::Jsonb => f.write_str("JSONB"),
            SqlType::Interval => f.write_str("INTERVAL"),
            SqlType::Array(element) => write!(f, "{element}[]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_parses_back() {
        for text in [
            "BOOL",
            "INT2",
            "INT4",
            "INT8",
            "FLOAT4",
            "FLOAT8",
            "DECIMAL(10,2)",
            "STRING",
            "VARCHAR(20)",
            "BYTES",
            "DATE",
            "TIMESTAMP",
            "TIMESTAMPTZ",
            "UUID",
            "JSONB",
            "INTERVAL",
            "STRING[]",
            "DECIMAL(38,10)[]",
        ] {
            let parsed = SqlType::parse(text).unwrap_or_else(|| panic!("{text} does not parse"));
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn knows_decimals_without_scale() {
        assert!(SqlType::parse("decimal").unwrap().has_free_scale());
        assert!(SqlType::Decimal(38, 20).has_free_scale());
        assert!(!SqlType::Decimal(38, 2).has_free_scale());
        assert!(!SqlType::Decimal(20, 10).has_free_scale());
    }

    #[test]
    fn knows_what_a_table_can_hold() {
        assert!(SqlType::parse("text[]").unwrap().is_storable());
        assert!(!SqlType::parse("interval(3)").unwrap().is_storable());
        assert!(!SqlType::parse("interval[]").unwrap().is_storable());
        let nested = SqlType::Array(Box::new(SqlType::parse("text[]").unwrap()));
        assert!(!nested.is_storable() && !nested.has_intervals());
    }

    #[test]
    fn aliases_and_refusals() {
        assert_eq!(SqlType::parse("timestamp(3) with time zone"), Some(SqlType::TimestampTz));
        assert_eq!(SqlType::parse("character varying(5)"), Some(SqlType::Varchar(5)));
        assert_eq!(SqlType::parse("Int Array"), Some(SqlType::Array(Box::new(SqlType::Int8))));
        assert_eq!(SqlType::parse("Array (decimal(10, 2))").unwrap().to_string(), "DECIMAL(10,2)[]");
        assert_eq!(SqlType::parse("VARIANT"), Some(SqlType::Jsonb));
        assert_eq!(SqlType::parse("array(array(int))"), None);
        assert_eq!(SqlType::parse("array(int)[]"), None);
        assert_eq!(SqlType::parse(&format!("{}int", "array(".repeat(1_000_000))), None);
        assert_eq!(SqlType::parse("numeric(40,2)"), None);
        assert_eq!(SqlType::parse("decimal(5,9)"), None);
        assert_eq!(SqlType::parse("geometry"), None);
        assert_eq!(SqlType::parse("int)"), None);
        assert_eq!(SqlType::parse("int[] array"), None);
        assert_eq!(SqlType::parse(&format!("int{}", "[]".repeat(1_000_000))), None);
    }
}
