//! Variables of a session, and what becomes of SET when its block ends.

use std::collections::HashMap;

use lakeport_base::Sqlstate;
use lakeport_base::limits::{OWN_VARIABLE_BYTES_MAX, OWN_VARIABLES_MAX};

use super::{Session, State};
use crate::error::{Error, Result};
use crate::outcome::SessionEvent;
use crate::value::Zone;
use crate::variable::{ROLE, Rule, SECONDARY_ROLES, VARIABLES, Variable};

/// A variable that the block has changed since its last savepoint.
pub(super) struct Change {
    name: &'static str,
    /// Its value until then.
    before: String,
    /// What SET without LOCAL has made it last.
    set: Option<String>,
}

impl State {
    /// Notes a change of the open block. There is one note of a variable per savepoint, however often it is set.
    fn note(&mut self, name: &'static str, before: String, set: Option<String>) {
        let since = self.savepoints.last().map_or(0, |savepoint| savepoint.changes);
        match self.changes[since..].iter_mut().rev().find(|change| change.name == name) {
            Some(change) => change.set = set.or(change.set.take()),
            None => self.changes.push(Change { name, before, set }),
        }
    }
}

impl Session {
    /// The value of a variable.
    pub(crate) fn variable(&self, name: &'static str) -> String {
        self.state().variables.get(name).cloned().unwrap_or_default()
    }

    /// The value of a variable that the client has made.
    pub(crate) fn own_variable(&self, name: &str) -> Option<String> {
        self.state().own_variables.get(name).cloned()
    }

    /// Makes a variable of the client's own, or without a value ends it. No block undoes it.
    ///
    /// # Errors
    /// 53400 for a value too long, or one variable too many.
    pub(crate) fn set_own_variable(&self, name: &str, value: Option<&str>) -> Result<()> {
        let too_much = |what| Err(Error::new(Sqlstate::CONFIGURATION_LIMIT_EXCEEDED, what));
        let own = &mut self.state().own_variables;
        match value {
            None => drop(own.remove(name)),
            Some(value) if value.len() > OWN_VARIABLE_BYTES_MAX => {
                return too_much(format!("the variable ${name} takes {OWN_VARIABLE_BYTES_MAX} bytes at most"));
            }
            Some(_) if own.len() >= OWN_VARIABLES_MAX && !own.contains_key(name) => {
                return too_much(format!("a session has {OWN_VARIABLES_MAX} variables of its own at most"));
            }
            Some(value) => drop(own.insert(name.to_string(), value.to_string())),
        }
        Ok(())
    }

    /// Ends all variables of the client's own.
    pub(crate) fn forget_own_variables(&self) {
        self.state().own_variables.clear();
    }

    /// The variables a client is told at start.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let state = self.state();
        let reported = VARIABLES.iter().filter_map(|variable| Some((variable.reported?, variable.name)));
        reported.map(|(shown, name)| (shown.to_string(), state.variables[name].clone())).collect()
    }

    /// The zone in which the client writes and reads times.
    pub fn zone(&self) -> Zone {
        Zone::parse(&self.variable("timezone")).unwrap_or_default()
    }

    /// The schemas searched for bare names, `$user` filled in.
    pub(crate) fn search_path(&self) -> Vec<String> {
        let path = self.variable("search_path");
        let names = path.split(',').map(|name| name.trim().trim_matches('"'));
        names.map(|name| if name == "$user" { self.identity().user } else { name.to_string() }).collect()
    }

    /// Sets a variable to a checked value. It is undone with the block; `local` ends with the block in any case, and
    /// does nothing without one.
    pub(crate) fn set_variable(&self, variable: &'static Variable, value: String, local: bool) {
        let mut state = self.state();
        let in_block = state.block.is_some();
        if local && !in_block {
            return;
        }
        let before = state.variables.insert(variable.name, value.clone()).unwrap_or_default();
        if in_block {
            state.note(variable.name, before, (!local).then(|| value.clone()));
        }
        drop(state);
        self.report(variable, value);
    }

    /// Whether a variable has a value that ends with the open block, though it is committed.
    pub(crate) fn is_local(&self, variable: &Variable) -> bool {
        let state = self.state();
        let changes = || state.changes.iter().filter(|change| change.name == variable.name);
        let kept = changes().rev().find_map(|change| change.set.as_ref());
        let kept = kept.or_else(|| changes().next().map(|change| &change.before));
        kept.is_some_and(|kept| Some(kept) != state.variables.get(variable.name))
    }

    /// The value of a variable when the session began.
    pub(super) fn initial(&self, variable: &Variable) -> String {
        self.state().initial.get(variable.name).cloned().unwrap_or_default()
    }

    /// Puts every changeable variable back to what it was when the session began, but for database and role.
    pub(crate) fn reset_variables(&self) {
        let is_kept = |name| ["database", ROLE.name, SECONDARY_ROLES.name].contains(&name);
        for variable in VARIABLES.iter().filter(|variable| !matches!(variable.rule, Rule::ReadOnly)) {
            if !is_kept(variable.name) {
                self.set_variable(variable, self.initial(variable), false);
            }
        }
    }

    /// Ends SET LOCAL. Answers what the variables were before the block, should it come to nothing.
    pub(super) fn settle(&self, changes: Vec<Change>) -> Vec<(&'static str, String)> {
        let (mut kept, mut first) = (HashMap::new(), HashMap::new());
        for Change { name, before, set } in changes {
            first.entry(name).or_insert_with(|| before.clone());
            match set {
                Some(value) => _ = kept.insert(name, value),
                None => _ = kept.entry(name).or_insert(before),
            }
        }
        self.put_variables(kept);
        first.into_iter().collect()
    }

    /// Undoes changes.
    pub(super) fn undo(&self, changes: Vec<Change>) {
        self.put_variables(changes.into_iter().rev().map(|change| (change.name, change.before)));
    }

    /// Gives variables values that they have had, and tells the client.
    pub(super) fn put_variables(&self, values: impl IntoIterator<Item = (&'static str, String)>) {
        for (name, value) in values {
            let old = self.state().variables.insert(name, value.clone());
            if let Some(variable) =
                VARIABLES.iter().find(|variable| variable.name == name && old.as_ref() != Some(&value))
            {
                self.report(variable, value);
            }
        }
    }

    fn report(&self, variable: &Variable, value: String) {
        let Some(name) = variable.reported else { return };
        let event = SessionEvent::ParameterChanged { name: name.to_string(), value };
        if self.events.try_send(event).is_err() {
            tracing::debug!("parameter change dropped: the client does not read");
        }
    }
}
