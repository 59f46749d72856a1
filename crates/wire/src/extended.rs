//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use lakeport_base::limits::{PREPARED_BYTES_MAX, PREPARED_MAX};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::engine::{Description, TransactionId};
use lakeport_core::{Block, Error, Outcome, writes_rows};
use lakeport_sql::Parsed;

use crate::connection::Connection;
use crate::fault::{Fault, Flow};
use crate::message::{Bind, SYNC, Target, violation};
use crate::params;
use crate::portal::{Bound, Portal, PortalState, RowCursor};
use crate::types::{ColumnShape, TEXT, declared_type, same_sorts, spread_formats};

/// A statement ready to be bound.
pub(crate) struct Prepared {
    /// `None` is the empty statement.
    parsed: Option<Parsed>,
    /// OIDs that the client declared; 0 leaves the type open.
    declared: Vec<u32>,
    description: Description,
    /// Of the catalog when it was described.
    generation: u64,
}

impl Prepared {
    /// What the client declared for a parameter, if that says anything.
    fn declared_type(&self, index: usize) -> Option<SqlType> {
        self.declared.get(index).copied().and_then(declared_type)
    }

    /// Memory that the text takes.
    fn bytes(&self) -> usize {
        self.parsed.as_ref().map_or(0, |parsed| parsed.text.len())
    }

    /// OIDs of all parameters, as told to the client.
    fn param_oids(&self) -> Vec<u32> {
        let params = self.description.params.iter().enumerate();
        params.map(|(index, ty)| self.declared_type(index).map_or(ty.oid(), |_| self.declared[index])).collect()
    }
}

impl Connection {
    pub(crate) async fn parse(&mut self, name: String, text: &str, types: &[u32]) -> Flow {
        if !name.is_empty() && self.prepared.contains_key(&name) {
            let message = format!("prepared statement {name:?} already exists");
            return Err(Error::new(Sqlstate::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        let mut statements = self.session.parse(text).await?.into_iter();
        let (parsed, None) = (statements.next(), statements.next()) else {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(Sqlstate::SYNTAX_ERROR, message).into());
        };
        let generation = self.session.catalog_generation();
        let description = match &parsed {
            Some(parsed) => {
                let declared: Vec<_> = types.iter().map(|oid| declared_type(*oid)).collect();
                let session = Arc::clone(&self.session);
                let described = self.drive(session.describe(parsed, &declared)).await?;
                described.map_err(|error| Fault::from(error).moved(parsed.position))?
            }
            None => Description { params: Vec::new(), columns: None },
        };
        self.check_room(text.len())?;
        self.prepared.insert(name, Arc::new(Prepared { parsed, declared: types.to_vec(), description, generation }));
        self.link.out.parse_complete();
        Ok(())
    }

    pub(crate) fn bind(&mut self, bind: Bind) -> Flow {
        let prepared = self.prepared(&bind.statement)?;
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            let message = format!("portal {:?} already exists", bind.portal);
            return Err(Error::new(Sqlstate::DUPLICATE_CURSOR, message).into());
        }
        let types = &prepared.description.params;
        if bind.params.len() != types.len() {
            let message = format!("bind supplies {} parameters, the statement has {}", bind.params.len(), types.len());
            return Err(violation(message).into());
        }
        let formats = spread_formats(&bind.param_formats, types.len())
            .ok_or_else(|| violation("parameter formats do not fit the parameters"))?;
        let zone = self.session.zone();
        let mut params = Vec::with_capacity(types.len());
        for (index, ((value, format), ty)) in bind.params.iter().zip(formats).zip(types).enumerate() {
            let declared = prepared.declared_type(index);
            let param = params::read(value.as_deref(), format, declared.as_ref().unwrap_or(ty), ty, zone);
            params.push(param.map_err(|error| error.with_detail(format!("parameter ${}", index + 1)))?);
        }
        self.check_room(params.iter().map(|param| param.get_array_memory_size()).sum())?;
        let bound = Bound { prepared, params, result_formats: bind.result_formats };
        self.portals.insert(bind.portal, Portal { bound, state: PortalState::Bound });
        self.link.out.bind_complete();
        Ok(())
    }

    pub(crate) fn describe(&mut self, target: Target, name: &str) -> Flow {
        let (prepared, formats) = match target {
            Target::Statement => {
                let prepared = self.prepared(name)?;
                self.link.out.parameter_description(&prepared.param_oids())?;
                (prepared, Vec::new())
            }
            Target::Portal => {
                let Some(Portal { bound, .. }) = self.portals.get(name) else { return self.describe_cursor(name) };
                (Arc::clone(&bound.prepared), bound.result_formats.clone())
            }
        };
        let Some(schema) = &prepared.description.columns else {
            self.link.out.no_data();
            return Ok(());
        };
        let formats = spread_result_formats(&formats, schema.fields().len())?;
        let columns = schema.fields().iter().zip(formats);
        self.link
            .out
            .row_description(columns.map(|(field, format)| (field.name().as_str(), ColumnShape::of(field), format)))?;
        Ok(())
    }

    /// A cursor declared by SQL is a portal too; its rows come by FETCH.
    fn describe_cursor(&mut self, name: &str) -> Flow {
        let schema = self.session.cursor_columns(name).map_err(|_| unknown_portal(name))?;
        let columns = schema.fields().iter();
        self.link.out.row_description(columns.map(|field| (field.name().as_str(), ColumnShape::of(field), TEXT)))?;
        Ok(())
    }

    /// Runs a portal, or goes on with it.
    pub(crate) async fn execute_portal(&mut self, name: &str, rows_max: usize) -> Flow {
        // Out of the map while it runs: a failed portal must not run again.
        let mut portal = self.portals.remove(name).ok_or_else(|| unknown_portal(name))?;
        portal.state = match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Bound => self.start_portal(&portal.bound, rows_max).await?,
            PortalState::Suspended(cursor) => self.continue_portal(cursor, rows_max).await?,
            PortalState::Done => {
                let message = format!("portal {name:?} cannot be run again");
                return Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
            }
        };
        self.portals.insert(name.to_string(), portal);
        Ok(())
    }

    async fn start_portal(&mut self, bound: &Bound, rows_max: usize) -> Flow<PortalState> {
        let Some(parsed) = &bound.prepared.parsed else {
            self.link.out.empty_query();
            return Ok(PortalState::Done);
        };
        self.require_columns(&bound.prepared).await?;
        let session = Arc::clone(&self.session);
        // What comes next says whether the statement stands alone.
        if self.next_tag().await? != SYNC {
            session.begin_implicit(parsed).await?;
        }
        let block = session.transaction();
        let outcome = self.drive(session.execute(parsed, &bound.params)).await?;
        match outcome.map_err(|error| Fault::from(error).moved(parsed.position))? {
            Outcome::Empty => self.link.out.empty_query(),
            Outcome::Done { tag } => self.link.out.command_complete(&tag),
            Outcome::Rows { tag, rows } => {
                let formats = spread_result_formats(&bound.result_formats, rows.schema.fields().len())?;
                let described = bound.prepared.description.columns.as_ref();
                if described.is_some_and(|described| !same_sorts(described, &rows.schema)) {
                    return Err(other_columns().into());
                }
                let cursor = RowCursor::new(tag, rows, formats, &session).described_as(described);
                return self.continue_portal(cursor, rows_max).await;
            }
            Outcome::CopyIn(copy) => self.copy_in(copy).await?,
            Outcome::CopyOut { rows, options } => self.copy_out(rows, &options).await?,
        }
        self.forget_portals_of(block);
        Ok(PortalState::Done)
    }

    /// A write whose rows could not be sent must not be done: its columns are looked at first, if the catalog has changed
    /// since they were described.
    async fn require_columns(&mut self, prepared: &Prepared) -> Flow {
        let (Some(parsed), Some(described)) = (&prepared.parsed, &prepared.description.columns) else { return Ok(()) };
        if !writes_rows(parsed) || prepared.generation == self.session.catalog_generation() {
            return Ok(());
        }
        let declared: Vec<_> =
            (0..prepared.description.params.len()).map(|index| prepared.declared_type(index)).collect();
        let session = Arc::clone(&self.session);
        let now = self.drive(session.describe(parsed, &declared)).await??;
        match now.columns {
            Some(now) if same_sorts(described, &now) => Ok(()),
            _ => Err(other_columns().into()),
        }
    }

    async fn continue_portal(&mut self, mut cursor: RowCursor, rows_max: usize) -> Flow<PortalState> {
        let done = self.send_rows(&mut cursor, rows_max).await?;
        Ok(if done { PortalState::Done } else { PortalState::Suspended(cursor) })
    }

    /// 53400 when a statement or portal of so many bytes is too much beside those that the session keeps.
    fn check_room(&self, bytes: usize) -> Flow {
        let texts = self.prepared.values().map(|prepared| prepared.bytes());
        let kept: usize = texts.chain(self.portals.values().map(|portal| portal.bound.bytes())).sum();
        if self.prepared.len() + self.portals.len() < PREPARED_MAX && kept + bytes <= PREPARED_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "the session keeps {} prepared statements and {} portals of {kept} bytes: no room for one more",
            self.prepared.len(),
            self.portals.len()
        );
        let hint = "close those that are no longer needed, or DEALLOCATE ALL";
        Err(Error::new(Sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message).with_hint(hint).into())
    }

    /// Closing what does not exist is no error.
    pub(crate) fn close_object(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => {
                self.prepared.remove(name);
            }
            Target::Portal => {
                self.portals.remove(name);
            }
        }
        self.link.out.close_complete();
    }

    /// Portals do not outlive the block that a statement has just ended.
    pub(crate) fn forget_portals_of(&mut self, block: Option<TransactionId>) {
        if block.is_some() && self.session.transaction() != block {
            self.portals.clear();
        }
    }

    /// Portals live as long as their transaction, and outside a block that ends at Sync.
    pub(crate) fn forget_portals_of_ended_block(&mut self) {
        if self.session.block() != Block::Open {
            self.portals.clear();
        }
    }

    fn prepared(&self, name: &str) -> Flow<Arc<Prepared>> {
        let prepared = self.prepared.get(name).cloned();
        prepared.ok_or_else(|| {
            let message = format!("prepared statement {name:?} does not exist");
            Error::new(Sqlstate::INVALID_SQL_STATEMENT_NAME, message).into()
        })
    }
}

fn spread_result_formats(formats: &[i16], count: usize) -> Flow<Vec<i16>> {
    // Some clients send formats for statements without columns.
    if count == 0 {
        return Ok(vec![TEXT; 0]);
    }
    spread_formats(formats, count).ok_or_else(|| violation("result formats do not fit the columns").into())
}

fn other_columns() -> Error {
    Error::unsupported("cached plan must not change result type")
        .with_hint("prepare the statement again: a table that it reads was changed")
}

fn unknown_portal(name: &str) -> Error {
    Error::new(Sqlstate::INVALID_CURSOR_NAME, format!("portal {name:?} does not exist"))
}
