//! Access privileges as PostgreSQL writes them: `grantee=letters/grantor`.

use lakeport_catalog::model::Object;

use crate::directory::{Directory, PUBLIC};
use crate::show::rows::Cell;

/// The letters of an object's privileges, in PostgreSQL's order. Privileges that PostgreSQL lacks have none.
fn letters(object: Object) -> &'static [(&'static str, char)] {
    match object {
        Object::Table(_) => &[("INSERT", 'a'), ("SELECT", 'r'), ("UPDATE", 'w'), ("DELETE", 'd'), ("DROP", 'D')],
        Object::Schema(_) => &[("USAGE", 'U'), ("CREATE", 'C')],
        Object::Database(_) => &[("CREATE", 'C'), ("CONNECT", 'c')],
        Object::System | Object::Connection(_) | Object::Stage(_) => &[],
    }
}

/// Everybody's privileges on an object, the owner's first; NULL when nothing was granted.
pub(super) fn of(directory: &Directory, object: Object, owner: &str) -> Cell {
    let grants = directory.grants_on(object);
    if grants.is_empty() {
        return Cell::Null;
    }
    let all: String = letters(object).iter().map(|(_, letter)| letter).collect();
    let mut items = vec![format!("{owner}={all}/{owner}")];
    let mut grantees: Vec<&str> =
        grants.iter().map(|grant| grant.grantee.as_str()).filter(|grantee| *grantee != owner).collect();
    grantees.sort_unstable();
    grantees.dedup();
    for grantee in grantees {
        let mut held = String::new();
        for (privilege, letter) in letters(object) {
            let fits = |name: &str| name == *privilege || name == "ALL";
            let mut own = grants.iter().filter(|grant| grant.grantee == grantee && fits(&grant.privilege)).peekable();
            if own.peek().is_some() {
                held.push(*letter);
                held.extend(own.any(|grant| grant.grant_option).then_some('*'));
            }
        }
        let name = if grantee == PUBLIC { "" } else { grantee };
        items.push(format!("{name}={held}/{owner}"));
    }
    Cell::from(items)
}
