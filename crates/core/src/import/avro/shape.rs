//! The shape of Avro data by its schema: where a binary record ends, and what JSON is in binary.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{broken, number_at, write_number};
use crate::error::{Error, Result};

/// Types nested deeper than this are refused, so that recursion stays on the stack.
const DEPTH_MAX: usize = 64;
/// Most values in one record, so that values without bytes cannot go on for ever.
const VALUES_MAX: usize = 16 << 20;

/// A schema.
#[derive(Debug)]
pub(in crate::import) struct Schema {
    root: Shape,
    /// Named types, which may hold themselves.
    named: Vec<Shape>,
}

#[derive(Clone, Debug)]
enum Shape {
    Null,
    Boolean,
    /// int and long
    Integer,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    /// With the names of the branches in JSON.
    Union(Vec<(String, Shape)>),
    Record(Vec<(String, Shape)>),
    /// Index of a named type.
    Named(usize),
}

impl Schema {
    /// # Errors
    /// 22023 for what is no schema of records.
    pub fn parse(text: &str) -> Result<Schema> {
        let json: Value = serde_json::from_str(text).map_err(|error| not_a_schema(&error.to_string()))?;
        let mut parser = Parser { indices: HashMap::new(), named: Vec::new() };
        let root = parser.shape(&json, "", 0)?.1;
        match &root {
            Shape::Named(index) if matches!(parser.named[*index], Shape::Record(_)) => {}
            _ => return Err(not_a_schema("it must describe a record")),
        }
        Ok(Schema { root, named: parser.named })
    }

    /// The length of the binary record at the start of some bytes; `None` if there are not enough of them.
    pub(super) fn record_length(&self, bytes: &[u8]) -> Result<Option<usize>> {
        let mut walk = Walk { schema: self, bytes, at: 0, values: 0 };
        Ok(walk.pass(&self.root, 0)?.then_some(walk.at))
    }

    /// Appends the binary form of a record in Avro's JSON form.
    pub(super) fn encode(&self, json: &Value, out: &mut Vec<u8>) -> Result<()> {
        self.encode_value(&self.root, json, out, 0)
    }

    fn encode_value(&self, shape: &Shape, json: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        match (shape, json) {
            (Shape::Null, Value::Null) => {}
            (Shape::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
            (Shape::Integer, Value::Number(_)) => {
                write_number(out, json.as_i64().ok_or_else(|| no_value(json, "a whole number"))?);
            }
            (Shape::Float, Value::Number(_)) => {
                out.extend_from_slice(&(json.as_f64().unwrap_or(f64::NAN) as f32).to_le_bytes());
            }
            (Shape::Double, Value::Number(_)) => {
                out.extend_from_slice(&json.as_f64().unwrap_or(f64::NAN).to_le_bytes());
            }
            (Shape::String, Value::String(text)) => write_bytes(out, text.as_bytes()),
            (Shape::Bytes, Value::String(text)) => write_bytes(out, &code_points(text)?),
            (Shape::Fixed(size), Value::String(text)) => match code_points(text)? {
                bytes if bytes.len() == *size => out.extend_from_slice(&bytes),
                _ => return Err(no_value(json, &format!("{size} bytes"))),
            },
            (Shape::Enum(symbols), Value::String(text)) => {
                let index = symbols.iter().position(|symbol| symbol == text);
                write_number(out, index.ok_or_else(|| no_value(json, "a symbol of its enum"))? as i64);
            }
            (Shape::Array(items), Value::Array(values)) => {
                if !values.is_empty() {
                    write_number(out, values.len() as i64);
                }
                values.iter().try_for_each(|value| self.encode_value(items, value, out, depth + 1))?;
                write_number(out, 0);
            }
            (Shape::Map(items), Value::Object(members)) => {
                if !members.is_empty() {
                    write_number(out, members.len() as i64);
                }
                for (key, value) in members {
                    write_bytes(out, key.as_bytes());
                    self.encode_value(items, value, out, depth + 1)?;
                }
                write_number(out, 0);
            }
            (Shape::Union(branches), json) => self.encode_union(branches, json, out, depth)?,
            (Shape::Record(fields), Value::Object(members)) => {
                for (name, shape) in fields {
                    let value = members.get(name).unwrap_or(&Value::Null);
                    self.encode_value(shape, value, out, depth + 1)
                        .map_err(|error| error.prefixed(&format!("field {name:?}")))?;
                }
            }
            (Shape::Named(index), json) => self.encode_value(&self.named[*index], json, out, depth + 1)?,
            (shape, json) => return Err(no_value(json, shape.name())),
        }
        Ok(())
    }

    /// NULL is itself; anything else is wrapped in the name of its branch.
    fn encode_union(&self, branches: &[(String, Shape)], json: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let (name, inner) = match json {
            Value::Null => ("null", json),
            Value::Object(members) if members.len() == 1 => {
                members.iter().next().map_or(("", json), |(name, inner)| (name.as_str(), inner))
            }
            _ => ("", json),
        };
        let found = branches.iter().position(|(branch, _)| branch == name);
        let index = found.ok_or_else(|| no_value(json, "null, or an object with the name of its type"))?;
        write_number(out, index as i64);
        self.encode_value(&branches[index].1, inner, out, depth + 1)
    }
}

impl Shape {
    fn name(&self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Integer => "int or long",
            Shape::Float | Shape::Double => "float or double",
            Shape::Bytes => "bytes",
            Shape::String => "string",
            Shape::Fixed(_) => "fixed",
            Shape::Enum(_) => "enum",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Union(_) => "union",
            Shape::Record(_) | Shape::Named(_) => "record",
        }
    }
}

/// Reads a schema; knows the named types so far.
struct Parser {
    indices: HashMap<String, usize>,
    named: Vec<Shape>,
}

impl Parser {
    /// A type and its name in JSON. `space` is the namespace around it.
    fn shape(&mut self, json: &Value, space: &str, depth: usize) -> Result<(String, Shape)> {
        if depth > DEPTH_MAX {
            return Err(not_a_schema("types are nested too deeply"));
        }
        match json {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.shape(branch, space, depth + 1));
                Ok(("union".into(), Shape::Union(branches.collect::<Result<_>>()?)))
            }
            Value::Object(members) => match members.get("type") {
                Some(Value::String(ty)) => self.complex(ty, members, space, depth),
                Some(inner) => self.shape(inner, space, depth + 1),
                None => Err(not_a_schema("a type is missing")),
            },
            _ => Err(not_a_schema("a type must be a name, an object or a list")),
        }
    }

    fn by_name(&self, name: &str, space: &str) -> Result<(String, Shape)> {
        let shape = match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" | "long" => Shape::Integer,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::String,
            _ => {
                let full = full_name(name, space);
                let index = self.indices.get(&full).or_else(|| self.indices.get(name));
                let index = *index.ok_or_else(|| not_a_schema(&format!("there is no type {name:?}")))?;
                return Ok((full, Shape::Named(index)));
            }
        };
        Ok((name.to_string(), shape))
    }

    fn complex(
        &mut self,
        ty: &str,
        members: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<(String, Shape)> {
        let member = |name: &str| members.get(name).ok_or_else(|| not_a_schema(&format!("{ty} without {name}")));
        match ty {
            "array" => Ok((ty.into(), Shape::Array(Box::new(self.shape(member("items")?, space, depth + 1)?.1)))),
            "map" => Ok((ty.into(), Shape::Map(Box::new(self.shape(member("values")?, space, depth + 1)?.1)))),
            "record" | "enum" | "fixed" => {
                let name = member("name")?.as_str().ok_or_else(|| not_a_schema("a name must be a text"))?;
                let own = members.get("namespace").and_then(Value::as_str).unwrap_or(space);
                let full = full_name(name, own);
                let index = self.named.len();
                self.named.push(Shape::Null);
                self.indices.insert(full.clone(), index);
                let inner = full.rsplit_once('.').map_or("", |(space, _)| space);
                self.named[index] = match ty {
                    "record" => self.record(member("fields")?, inner, depth)?,
                    "enum" => Shape::Enum(texts(member("symbols")?)?),
                    _ => Shape::Fixed(size(member("size")?)?),
                };
                Ok((full, Shape::Named(index)))
            }
            name => self.by_name(name, space),
        }
    }

    fn record(&mut self, fields: &Value, space: &str, depth: usize) -> Result<Shape> {
        let fields = fields.as_array().ok_or_else(|| not_a_schema("fields must be a list"))?;
        let field = |field: &Value| {
            let name = field.get("name").and_then(Value::as_str).ok_or_else(|| not_a_schema("a field without name"))?;
            let ty = field.get("type").ok_or_else(|| not_a_schema("a field without type"))?;
            Ok((name.to_string(), self.shape(ty, space, depth + 1)?.1))
        };
        Ok(Shape::Record(fields.iter().map(field).collect::<Result<_>>()?))
    }
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_string() } else { format!("{space}.{name}") }
}

fn texts(json: &Value) -> Result<Vec<String>> {
    let texts = json.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_string)).collect());
    texts.ok_or_else(|| not_a_schema("symbols must be a list of texts"))
}

fn size(json: &Value) -> Result<usize> {
    json.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(|| not_a_schema("a size must be a number"))
}

/// A look over one binary record.
struct Walk<'a> {
    schema: &'a Schema,
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl Walk<'_> {
    /// Passes over a value; false if its end is not there yet.
    fn pass(&mut self, shape: &Shape, depth: usize) -> Result<bool> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(too_deep());
        }
        match shape {
            Shape::Null => Ok(true),
            Shape::Boolean => Ok(self.skip(1)),
            Shape::Float => Ok(self.skip(4)),
            Shape::Double => Ok(self.skip(8)),
            Shape::Fixed(size) => Ok(self.skip(*size)),
            Shape::Integer | Shape::Enum(_) => Ok(self.number()?.is_some()),
            Shape::Bytes | Shape::String => self.pass_bytes(),
            Shape::Array(items) => self.pass_blocks(items, false, depth),
            Shape::Map(items) => self.pass_blocks(items, true, depth),
            Shape::Union(branches) => {
                let Some(index) = self.number()? else { return Ok(false) };
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                let (_, shape) = branch.ok_or_else(|| broken(format!("a union has no branch {index}")))?;
                self.pass(shape, depth + 1)
            }
            Shape::Record(fields) => {
                for (_, shape) in fields {
                    if !self.pass(shape, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Shape::Named(index) => self.pass(&self.schema.named[*index], depth + 1),
        }
    }

    fn skip(&mut self, count: usize) -> bool {
        self.at = self.at.saturating_add(count);
        self.at <= self.bytes.len()
    }

    fn number(&mut self) -> Result<Option<i64>> {
        let found = number_at(self.bytes.get(self.at..).unwrap_or_default())?;
        Ok(found.map(|(number, length)| {
            self.at += length;
            number
        }))
    }

    fn pass_bytes(&mut self) -> Result<bool> {
        let Some(count) = self.number()? else { return Ok(false) };
        let count = usize::try_from(count).map_err(|_| broken(format!("{count} is no size")))?;
        Ok(self.skip(count))
    }

    /// The blocks of an array or a map, until an empty one.
    fn pass_blocks(&mut self, items: &Shape, keyed: bool, depth: usize) -> Result<bool> {
        loop {
            let Some(count) = self.number()? else { return Ok(false) };
            if count == 0 {
                return Ok(true);
            }
            // A negative count has the block's size after it.
            if count < 0 && self.number()?.is_none() {
                return Ok(false);
            }
            for _ in 0..count.unsigned_abs() {
                if (keyed && !self.pass_bytes()?) || !self.pass(items, depth + 1)? {
                    return Ok(false);
                }
            }
        }
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Bytes as Avro's JSON has them: one character each.
fn code_points(text: &str) -> Result<Vec<u8>> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.ok_or_else(|| broken("a character of bytes is beyond \\u00ff"))
}

fn no_value(json: &Value, wanted: &str) -> Error {
    let text: String = json.to_string().chars().take(80).collect();
    broken(format!("{text} is not {wanted}"))
}

fn too_deep() -> Error {
    broken("values are nested too deeply or are too many")
}

fn not_a_schema(reason: &str) -> Error {
    Error::invalid(format!("invalid Avro schema: {reason}"))
}
