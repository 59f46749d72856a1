//! Whom a session acts as: who has logged in, or a role of theirs.

use super::Session;
use crate::authz::Subject;
use crate::directory::Directory;
use crate::error::Result;
use crate::outcome::Notice;
use crate::variable::{IS_SUPERUSER, NO_ROLE, ROLE, SECONDARY_ROLES, Variable};

/// Whom a statement acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Whose privileges count: `current_user`.
    pub user: String,
    /// Who owns what is made: `current_role`.
    pub role: String,
}

impl Session {
    /// Whom statements act as: since SET ROLE that role alone; with secondary roles the user, the role owning what is
    /// made; otherwise the user.
    pub(crate) fn identity(&self) -> Identity {
        let user = self.user.clone();
        match self.set_role() {
            None => Identity { role: user.clone(), user },
            Some(role) if self.variable(SECONDARY_ROLES.name) == "on" => Identity { user, role },
            Some(role) => Identity { user: role.clone(), role },
        }
    }

    /// The role that was set, if one was.
    pub(crate) fn set_role(&self) -> Option<String> {
        Some(self.variable(ROLE.name)).filter(|role| role != NO_ROLE)
    }

    /// Who has logged in: decides which roles may be set.
    fn login<'a>(&'a self, directory: &'a Directory) -> Subject<'a> {
        Subject { directory, user: &self.user }
    }

    /// # Errors
    /// 42501 when the role that was set is no longer one of the user's.
    pub(crate) fn check_role(&self, directory: &Directory) -> Result<()> {
        let Some(role) = self.set_role() else { return Ok(()) };
        self.login(directory).require_role(&role).map_err(|error| error.with_hint("RESET ROLE leaves it"))
    }

    /// Sets a variable as SET does; without a value to what it was when the session began. Answers it as stored.
    ///
    /// # Errors
    /// 22023 for a value that it does not take; 42501 for a role that is not the user's, or a database that the user may
    /// not enter.
    pub(crate) fn assign(
        &self,
        directory: &Directory,
        variable: &'static Variable,
        value: Option<&str>,
        local: bool,
    ) -> Result<String> {
        if variable.name == ROLE.name {
            return self.assign_role(directory, value, local);
        }
        let value = match value {
            Some(value) => variable.checked(value)?,
            None => variable.checked(&self.initial(variable))?,
        };
        if variable.name == "database" {
            let subject = Subject { directory, user: &self.identity().user };
            subject.require_connect(directory.database(&value)?)?;
        }
        self.set_variable(variable, value.clone(), local);
        if variable.name == SECONDARY_ROLES.name {
            self.tell_superuser(directory, local);
        }
        Ok(value)
    }

    /// A role set by name acts alone; that of the session's beginning as it did then.
    fn assign_role(&self, directory: &Directory, role: Option<&str>, local: bool) -> Result<String> {
        let (role, secondary) = match role {
            Some(role) => (role.to_string(), SECONDARY_ROLES.default.to_string()),
            None => (self.initial(&ROLE), self.initial(&SECONDARY_ROLES)),
        };
        if role != NO_ROLE {
            self.login(directory).require_role(&role)?;
        }
        self.set_variable(&ROLE, role.clone(), local);
        self.set_variable(&SECONDARY_ROLES, secondary, local);
        self.tell_superuser(directory, local);
        Ok(role)
    }

    /// Acts as when the session began, or as who has logged in when that role is not theirs, and says so.
    pub(crate) fn take_default_role(&self, directory: &Directory) -> Result<()> {
        if let Err(error) = self.assign_role(directory, None, false) {
            self.notice(Notice::warning(error.code(), error.message()));
            self.assign_role(directory, Some(NO_ROLE), false)?;
        }
        Ok(())
    }

    fn tell_superuser(&self, directory: &Directory, local: bool) {
        let value = if directory.is_admin(&self.identity().user) { "on" } else { "off" };
        if self.variable(IS_SUPERUSER.name) != value {
            self.set_variable(&IS_SUPERUSER, value.to_string(), local);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Startup;
    use crate::engine_stub::StubServer;

    async fn role_asked(stub: &StubServer, name: &str, role: &str) -> Result<(String, String), String> {
        let start = Startup {
            user: "ann".to_string(),
            database: None,
            parameters: vec![(name.to_string(), role.to_string())],
            client_addr: ([127, 0, 0, 1], 1).into(),
            secure: false,
            schedule: None,
        };
        let opened = stub.server.open_session(start).await.map_err(|error| error.code().code().to_string())?;
        let identity = opened.0.identity();
        Ok((identity.user, identity.role))
    }

    #[tokio::test]
    async fn clients_ask_for_roles_of_their_own() {
        let stub = StubServer::without_jobs().await;
        stub.session("root").await.ok("CREATE USER ann; CREATE ROLE r; CREATE ROLE other; GRANT r TO ann").await;
        let both = |name: &str| Ok((name.to_string(), name.to_string()));
        assert_eq!(role_asked(&stub, "role", "r").await, both("r"));
        assert_eq!(role_asked(&stub, "role", "none").await, both("ann"));
        // In place of a default role, whose user keeps all privileges.
        stub.session("root").await.ok("ALTER USER ann WITH DEFAULT_ROLE = 'r'").await;
        assert_eq!(role_asked(&stub, "application_name", "x").await, Ok(("ann".to_string(), "r".to_string())));
        assert_eq!(role_asked(&stub, "role", "r").await, both("r"));
        for (name, role) in [("role", "other"), ("ROLE", "admin"), ("Role", "root"), ("role", "public")] {
            assert!(role_asked(&stub, name, role).await.is_err(), "{name} {role}");
        }
        for name in ["session_user", "session_authorization", "is_superuser"] {
            assert_eq!(role_asked(&stub, name, "root").await, Err("55000".to_string()));
        }
    }
}
