//! Random statements on a table with a key and on a plain map: rows, change data and blocks must agree.

mod bench;

use std::collections::BTreeMap;
use std::time::Duration;

use bench::{Bench, Row, Rows};

/// A small generator, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % limit
    }

    fn row(&mut self, id: i64) -> Row {
        let grp = (self.below(5) > 0).then(|| self.below(10));
        let name = (self.below(4) > 0).then(|| format!("n{}", self.below(20)));
        (id, grp, name)
    }

    fn rows(&mut self) -> Vec<Row> {
        let start = self.below(60);
        let step = 1 + self.below(3);
        (0..=self.below(6)).map(|index| self.row(start + index * step)).collect()
    }
}

fn values(rows: &[Row]) -> String {
    let value = |(id, grp, name): &Row| {
        let grp = grp.map_or("NULL".to_string(), |grp| grp.to_string());
        let name = name.as_ref().map_or("NULL".to_string(), |name| format!("'{name}'"));
        format!("({id}, {grp}, {name})")
    };
    rows.iter().map(value).collect::<Vec<_>>().join(", ")
}

/// One random statement and what it makes of the model: the rows after it, or the SQLSTATE it fails with.
fn statement(random: &mut Random, model: &Rows) -> (String, Result<Rows, &'static str>) {
    let mut after = model.clone();
    match random.below(10) {
        0 | 1 => {
            let rows = random.rows();
            let taken = rows.iter().any(|row| model.contains_key(&row.0));
            after.extend(rows.iter().cloned().map(|row| (row.0, row)));
            let outcome = if taken { Err("23505") } else { Ok(after) };
            (format!("INSERT INTO t VALUES {}", values(&rows)), outcome)
        }
        2 => {
            let rows = random.rows();
            after.extend(rows.iter().cloned().map(|row| (row.0, row)));
            (format!("UPSERT INTO t VALUES {}", values(&rows)), Ok(after))
        }
        3 => {
            let rows = random.rows();
            for row in &rows {
                after.entry(row.0).or_insert_with(|| row.clone());
            }
            (format!("INSERT INTO t VALUES {} ON CONFLICT (id) DO NOTHING", values(&rows)), Ok(after))
        }
        4 => {
            let rows = random.rows();
            for row in &rows {
                match after.get_mut(&row.0) {
                    Some(old) => old.1 = old.1.zip(row.1).map(|(old, new)| old + new),
                    None => drop(after.insert(row.0, row.clone())),
                }
            }
            let set = "ON CONFLICT (id) DO UPDATE SET grp = t.grp + excluded.grp";
            (format!("INSERT INTO t VALUES {} {set}", values(&rows)), Ok(after))
        }
        5 => {
            let (modulus, rest) = (2 + random.below(4), random.below(2));
            for row in after.values_mut().filter(|row| row.0 % modulus == rest) {
                row.1 = row.1.map(|grp| grp + 1);
                row.2 = Some(format!("u{}", row.0));
            }
            (format!("UPDATE t SET grp = grp + 1, name = 'u' || id::STRING WHERE id % {modulus} = {rest}"), Ok(after))
        }
        6 => {
            let limit = random.below(30);
            let groups: Vec<i64> = model.values().filter(|row| row.0 < limit).filter_map(|row| row.1).collect();
            for row in after.values_mut().filter(|row| row.1.is_some_and(|grp| groups.contains(&grp))) {
                row.2 = None;
            }
            (
                format!("UPDATE t SET name = NULL WHERE grp IN (SELECT s.grp FROM t AS s WHERE s.id < {limit})"),
                Ok(after),
            )
        }
        7 => merge(random, model),
        8 => {
            let low = random.below(60);
            after.retain(|id, _| !(low..low + 8).contains(id));
            (format!("DELETE FROM t WHERE id BETWEEN {low} AND {}", low + 7), Ok(after))
        }
        _ => {
            let (from, by) = (random.below(60), 1 + random.below(5));
            let moved: Vec<Row> = after.values().filter(|row| row.0 >= from && row.0 < from + 4).cloned().collect();
            moved.iter().for_each(|row| drop(after.remove(&row.0)));
            let taken = moved.iter().any(|row| after.contains_key(&(row.0 + by)));
            after.extend(moved.into_iter().map(|row| (row.0 + by, (row.0 + by, row.1, row.2))));
            let sql = format!("UPDATE t SET id = id + {by} WHERE id >= {from} AND id < {}", from + 4);
            (sql, if taken { Err("23505") } else { Ok(after) })
        }
    }
}

/// A random MERGE and what it makes of the model.
fn merge(random: &mut Random, model: &Rows) -> (String, Result<Rows, &'static str>) {
    let rows = random.rows();
    let (dropped, limit) = (random.below(10), random.below(40));
    let mut after = model.clone();
    for row in &rows {
        match (after.get(&row.0).map(|old| old.1), row.1) {
            (Some(_), Some(grp)) if grp == dropped => drop(after.remove(&row.0)),
            (Some(old), Some(new)) => {
                after.insert(row.0, (row.0, old.map(|old| old + new), row.2.clone()));
            }
            (Some(_), None) => {}
            (None, _) => drop(after.insert(row.0, (row.0, row.1, Some("merged".to_string())))),
        }
    }
    let alone = |id: &i64| *id < limit && !rows.iter().any(|row| row.0 == *id);
    after.retain(|id, row| !(alone(id) && row.1.is_none()));
    after.values_mut().filter(|row| alone(&row.0)).for_each(|row| row.2 = None);
    let sql = format!(
        "MERGE INTO t USING (VALUES {}) AS s (id, grp, name) ON t.id = s.id
         WHEN MATCHED AND s.grp = {dropped} THEN DELETE
         WHEN MATCHED AND s.grp IS NULL THEN DO NOTHING
         WHEN MATCHED THEN UPDATE SET grp = t.grp + s.grp, name = s.name
         WHEN NOT MATCHED THEN INSERT VALUES (id, grp, 'merged')
         WHEN NOT MATCHED BY SOURCE AND id < {limit} AND grp IS NULL THEN DELETE
         WHEN NOT MATCHED BY SOURCE AND id < {limit} THEN UPDATE SET name = NULL",
        values(&rows)
    );
    (sql, Ok(after))
}

/// Runs one random statement on both sides.
async fn step(bench: &Bench, random: &mut Random, model: &mut Rows, block: Option<u64>) {
    let (sql, expected) = statement(random, model);
    let outcome = bench.write(&sql, block).await;
    match (outcome, expected) {
        (Ok(_), Ok(after)) => *model = after,
        (Err(error), Err(code)) => assert_eq!(error.code().code(), code, "{sql}: {error}"),
        (Ok(_), Err(code)) => panic!("{sql} succeeds, expected {code}"),
        (Err(error), Ok(_)) => panic!("{sql} fails with {} {error}: {:?}", error.code().code(), error.detail()),
    }
    assert_eq!(bench.rows(block).await, *model, "after {sql}");
}

#[tokio::test]
async fn statements_agree_with_a_map() {
    for seed in 1..=3 {
        let bench = Bench::new().await;
        let (mut random, mut model) = (Random(seed), BTreeMap::new());
        for _ in 0..40 {
            step(&bench, &mut random, &mut model, None).await;
        }
        bench.check_change_data(&model).await;
        bench.check_files().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_agree_with_a_map_while_the_table_is_looked_after() {
    let bench = Bench::new().await;
    let (mut random, mut model) = (Random(11), BTreeMap::new());
    let stop = tokio_util::sync::CancellationToken::new();
    let upkeep = async {
        let mut merged = 0;
        while !stop.is_cancelled() {
            merged += bench.upkeep(chrono::TimeDelta::zero(), None).await.merged_files;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        merged
    };
    let statements = async {
        for id in 1000..1060 {
            let sql = format!("INSERT INTO t VALUES ({id}, 1, NULL)");
            bench.write(&sql, None).await.expect("a step of the test");
            model.insert(id, (id, Some(1), None));
            if id % 3 == 0 {
                step(&bench, &mut random, &mut model, None).await;
            }
        }
        stop.cancel();
    };
    let (merged, ()) = tokio::join!(upkeep, statements);
    assert!(merged > 0, "no file was merged");
    bench.check_change_data(&model).await;
    bench.check_files().await;
}

#[tokio::test]
async fn blocks_are_all_or_nothing() {
    let bench = Bench::new().await;
    let (mut random, mut model) = (Random(7), BTreeMap::new());
    for round in 0..10 {
        let block = bench.begin().await;
        let mut inside = model.clone();
        for _ in 0..4 {
            step(&bench, &mut random, &mut inside, Some(block)).await;
            assert_eq!(bench.rows(None).await, model, "others see an open block");
        }
        if round % 3 == 2 {
            bench.rollback(block).await;
        } else {
            bench.commit(block).await.expect("a step of the test");
            model = inside;
        }
        assert_eq!(bench.rows(None).await, model);
    }
    bench.check_change_data(&model).await;
    bench.check_files().await;
}

#[tokio::test]
async fn blocks_go_back_to_savepoints() {
    let bench = Bench::new().await;
    let (mut random, mut model) = (Random(5), BTreeMap::new());
    for _ in 0..6 {
        let block = bench.begin().await;
        let mut marks = vec![(bench.savepoint(block), model.clone())];
        for _ in 0..8 {
            if random.below(3) == 0 {
                marks.truncate(1 + random.below(marks.len() as i64) as usize);
                let (mark, then) = marks.last().expect("one stays").clone();
                bench.rollback_to(block, mark);
                model = then;
                assert_eq!(bench.rows(Some(block)).await, model);
            } else {
                step(&bench, &mut random, &mut model, Some(block)).await;
                marks.push((bench.savepoint(block), model.clone()));
            }
        }
        bench.commit(block).await.expect("a step of the test");
        assert_eq!(bench.rows(None).await, model);
    }
    bench.check_change_data(&model).await;
    bench.check_files().await;
}

#[tokio::test]
async fn the_second_of_two_blocks_that_change_rows_restarts() {
    let bench = Bench::new().await;
    bench.write("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')", None).await.expect("a step of the test");
    let (first, second) = (bench.begin().await, bench.begin().await);
    bench.write("UPDATE t SET grp = 10 WHERE id = 1", Some(first)).await.expect("a step of the test");
    bench.write("UPDATE t SET grp = 20 WHERE id = 1", Some(second)).await.expect("a step of the test");
    bench.commit(first).await.expect("a step of the test");
    assert_eq!(bench.commit(second).await.unwrap_err().code().code(), "40001");
    assert_eq!(bench.rows(None).await[&1].1, Some(10));
    bench.check_files().await;
}

#[tokio::test]
async fn a_dropped_statement_leaves_all_or_nothing() {
    let bench = Bench::new().await;
    let mut kept: i64 = 0;
    for round in 0..12 {
        let rows: Vec<Row> = (0..50).map(|index| (round * 50 + index, None, None)).collect();
        let sql = format!("INSERT INTO t VALUES {}", values(&rows));
        let limit = Duration::from_millis((round * 7) as u64);
        let finished = tokio::time::timeout(limit, bench.write(&sql, None)).await.is_ok();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let count = bench.rows(None).await.len() as i64;
        assert!(count == kept + 50 || (count == kept && !finished), "{count} rows after {kept}");
        kept = count;
    }
    bench.check_files().await;
}

#[tokio::test]
async fn an_error_in_returning_undoes_the_statement() {
    let bench = Bench::new().await;
    bench.write("INSERT INTO t VALUES (1, 1, 'a')", None).await.expect("a step of the test");
    for sql in [
        "INSERT INTO t VALUES (2, 0, 'b') RETURNING 1 / grp",
        "UPSERT INTO t VALUES (1, 0, 'b') RETURNING 1 / grp",
        "UPDATE t SET grp = 0 RETURNING 1 / grp",
        "DELETE FROM t RETURNING 1 / (grp - 1)",
    ] {
        assert_eq!(bench.write(sql, None).await.unwrap_err().code().code(), "22012", "{sql}");
    }
    assert_eq!(bench.rows(None).await, BTreeMap::from([(1, (1, Some(1), Some("a".to_string())))]));
    bench.check_files().await;
}

#[tokio::test]
async fn a_subquery_on_the_changed_table_sees_its_own_columns_only() {
    let bench = Bench::new().await;
    bench.write("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')", None).await.expect("a step of the test");
    let twice = "SELECT s.* FROM t AS s UNION ALL SELECT id, grp, name FROM t";
    let sql = format!("DELETE FROM t WHERE id IN (SELECT id - 1 FROM ({twice}) AS u)");
    assert_eq!(bench.write(&sql, None).await.expect("a step of the test"), 1);
    assert_eq!(bench.rows(None).await.into_keys().collect::<Vec<_>>(), [2]);
}
