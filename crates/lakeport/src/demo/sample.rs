//! The sample database `movr`: a vehicle-sharing company. The rows are the same on every run.

use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::pin;

use anyhow::Result;
use bytes::Bytes;
use futures::SinkExt;

use super::tour::root;
use crate::client::{Connection, described};

const USERS: u64 = 500;
const VEHICLES: u64 = 150;
const RIDES: u64 = 5000;

const SCHEMA: &str = "
CREATE TABLE users (
    id UUID PRIMARY KEY,
    city STRING NOT NULL,
    name STRING NOT NULL,
    address STRING
);
CREATE TABLE vehicles (
    id UUID PRIMARY KEY,
    city STRING NOT NULL,
    type STRING NOT NULL,
    owner_id UUID NOT NULL,
    status STRING NOT NULL,
    ext JSONB
);
CREATE TABLE rides (
    id UUID PRIMARY KEY,
    city STRING NOT NULL,
    rider_id UUID NOT NULL,
    vehicle_id UUID NOT NULL,
    start_time TIMESTAMP NOT NULL,
    end_time TIMESTAMP,
    revenue DECIMAL(10,2) NOT NULL
);
";

const CITIES: [&str; 9] =
    ["amsterdam", "boston", "los angeles", "new york", "paris", "rome", "san francisco", "seattle", "washington dc"];
const FIRST_NAMES: [&str; 10] = ["Ada", "Bo", "Chidi", "Dana", "Emre", "Freya", "Goro", "Hana", "Ines", "Jomo"];
const LAST_NAMES: [&str; 10] = ["Abara", "Berg", "Costa", "Diaz", "Eide", "Fofana", "Garcia", "Haas", "Ito", "Jansen"];
const STREETS: [&str; 6] = ["Harbour Road", "Mill Lane", "Station Street", "Park Avenue", "Canal Walk", "Hill Street"];

/// Makes the database and fills its tables by COPY.
///
/// # Errors
/// A statement failing.
pub async fn load(addr: SocketAddr) -> Result<()> {
    let first = Connection::open(&root(addr, "defaultdb")).await?;
    first.client.batch_execute("CREATE DATABASE movr").await.map_err(described)?;
    let connection = Connection::open(&root(addr, "movr")).await?;
    connection.client.batch_execute(SCHEMA).await.map_err(described)?;
    for (table, rows) in [("users", users()), ("vehicles", vehicles()), ("rides", rides())] {
        let sink = connection.client.copy_in(&format!("COPY {table} FROM STDIN")).await.map_err(described)?;
        let mut sink = pin!(sink);
        sink.send(Bytes::from(rows)).await.map_err(described)?;
        sink.finish().await.map_err(described)?;
    }
    Ok(())
}

fn users() -> String {
    let mut rows = String::new();
    for i in 0..USERS {
        let mut dice = Dice::new("user", i);
        let (first, last, street) = (dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES), dice.pick(&STREETS));
        let number = 1 + dice.below(200);
        let _ = writeln!(rows, "{}\t{}\t{first} {last}\t{number} {street}", id("user", i), city_of(i));
    }
    rows
}

fn vehicles() -> String {
    let mut rows = String::new();
    for i in 0..VEHICLES {
        let mut dice = Dice::new("vehicle", i);
        let ty = dice.pick(&["bike", "scooter", "skateboard"]);
        let owner = nth_in_city(dice.below(USERS), i, USERS);
        let status = dice.pick(&["available", "in_use", "lost"]);
        let color = dice.pick(&["black", "blue", "green", "red", "yellow"]);
        let (id, city, owner) = (id("vehicle", i), city_of(i), id("user", owner));
        let _ = writeln!(rows, "{id}\t{city}\t{ty}\t{owner}\t{status}\t{{\"color\": \"{color}\"}}");
    }
    rows
}

fn rides() -> String {
    let mut rows = String::new();
    for i in 0..RIDES {
        let mut dice = Dice::new("ride", i);
        let rider = id("user", nth_in_city(dice.below(USERS), i, USERS));
        let vehicle = id("vehicle", nth_in_city(dice.below(VEHICLES), i, VEHICLES));
        let start = dice.below(365 * 24 * 60);
        let minutes = 3 + dice.below(90);
        let cents = 150 + 25 * minutes + dice.below(100);
        let (id, city, start, end) =
            (id("ride", i), city_of(i), minute_of_2026(start), minute_of_2026(start + minutes));
        let _ = writeln!(rows, "{id}\t{city}\t{rider}\t{vehicle}\t{start}\t{end}\t{}.{:02}", cents / 100, cents % 100);
    }
    rows
}

/// Row `i` lives in this city.
fn city_of(i: u64) -> &'static str {
    CITIES[(i % CITIES.len() as u64) as usize]
}

/// A row near `roll` of a table of `count` rows that lives in the city of row `i`.
fn nth_in_city(roll: u64, i: u64, count: u64) -> u64 {
    let cities = CITIES.len() as u64;
    (roll / cities * cities + i % cities) % (count / cities * cities)
}

/// The timestamp so many minutes after the start of 2026, or of 2027 for the last rides.
fn minute_of_2026(minute: u64) -> String {
    const MONTH_DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut day, year) = (minute / 1440 % 365, 2026 + minute / 1440 / 365);
    let mut month = 0;
    while day >= MONTH_DAYS[month] {
        day -= MONTH_DAYS[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02} {:02}:{:02}:00", month + 1, day + 1, minute / 60 % 24, minute % 60)
}

/// The key of row `i` of a table, in the form of a random UUID.
fn id(table: &str, i: u64) -> String {
    let mut dice = Dice::new(table, i ^ 0x1d00_0000);
    let (high, low) = (dice.roll(), dice.roll());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Numbers that look random and are the same on every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(table: &str, row: u64) -> Dice {
        let mut dice = Dice(table.bytes().fold(row, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into())));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_are_unique_and_references_hold() {
        let keys = |rows: &str| rows.lines().map(|row| row[..36].to_string()).collect::<HashSet<_>>();
        let (users, vehicles, rides) = (users(), vehicles(), rides());
        assert_eq!((keys(&users).len(), keys(&vehicles).len(), keys(&rides).len()), (500, 150, 5000));
        for ride in rides.lines() {
            let cells: Vec<&str> = ride.split('\t').collect();
            let in_city = |rows: &str, key: &str| rows.contains(&format!("{key}\t{}\t", cells[1]));
            assert!(in_city(&users, cells[2]) && in_city(&vehicles, cells[3]), "{ride}");
        }
    }

    #[test]
    fn minutes_become_timestamps() {
        assert_eq!(minute_of_2026(0), "2026-01-01 00:00:00");
        assert_eq!(minute_of_2026(59 * 1440 + 61), "2026-03-01 01:01:00");
        assert_eq!(minute_of_2026(365 * 1440), "2027-01-01 00:00:00");
    }
}
