// node-postgres: simple and prepared queries, types, errors, a pool, transactions, cancel by leaving.
const assert = require('node:assert');
const { Client, Pool } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();
  await client.query('CREATE TABLE t (a INT PRIMARY KEY, b STRING, c FLOAT8, d TIMESTAMPTZ, e JSONB, f STRING[], g BYTES)');
  const at = new Date(Date.UTC(2024, 1, 29, 12, 30, 15, 250));
  const row = [1, 'añb', 0.1, at, { x: [1, null] }, ['p', 'q,r'], Buffer.from([0, 255])];
  const inserted = await client.query('INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING a', row);
  assert.deepStrictEqual([inserted.command, inserted.rowCount, inserted.rows], ['INSERT', 1, [{ a: '1' }]]);
  const { rows, fields } = await client.query('SELECT * FROM t');
  const [found] = rows;
  assert.deepStrictEqual([found.a, found.b, found.c, found.d.getTime(), found.e, found.f, [...found.g]],
    ['1', 'añb', 0.1, at.getTime(), { x: [1, null] }, ['p', 'q,r'], [0, 255]]);
  assert.deepStrictEqual(fields.map(field => field.dataTypeID), [20, 25, 701, 1184, 3802, 1009, 17]);

  // A prepared statement under a name, used again and again; several statements in one text; rows as arrays.
  for (let i = 0; i < 5; i++) {
    const result = await client.query({ name: 'by key', text: 'SELECT b FROM t WHERE a = $1', values: [1] });
    assert.strictEqual(result.rows[0].b, 'añb');
  }
  const several = await client.query('SELECT 1 AS one; SELECT 2 AS two');
  assert.deepStrictEqual(several.map(result => result.rows), [[{ one: '1' }], [{ two: '2' }]]);
  const arrays = await client.query({ text: "SELECT 'x' AS a, 'y' AS a", rowMode: 'array' });
  assert.deepStrictEqual(arrays.rows, [['x', 'y']]);

  // Errors carry code, position and hint, and the client goes on.
  await assert.rejects(client.query('SELECT nope FROM t'), error => error.code === '42703');
  await assert.rejects(client.query('SELECT 1 FORM t'), error => error.code === '42601' && error.position === '15');
  await assert.rejects(client.query('INSERT INTO t (a) VALUES ($1)', [1]), error => error.code === '23505');

  // A block that is rolled back, and one that is kept.
  await client.query('BEGIN');
  await client.query('DELETE FROM t');
  await client.query('ROLLBACK');
  await client.query('BEGIN');
  await client.query('INSERT INTO t (a) VALUES (2)');
  await client.query('COMMIT');
  assert.strictEqual((await client.query('SELECT count(*)::INT4 AS n FROM t')).rows[0].n, 2);
  await client.end();

  // A pool under more work than it has connections, with a time limit for one of them.
  const pool = new Pool({ max: 4 });
  const work = Array.from({ length: 40 }, (_, i) => pool.query('SELECT ($1::INT4 * 2)::INT4 AS n', [i]));
  assert.deepStrictEqual((await Promise.all(work)).map(result => result.rows[0].n), work.map((_, i) => 2 * i));
  const limited = new Pool({ max: 1, statement_timeout: 300 });
  const slow = 'SELECT count(*) FROM generate_series(1, 30000000) a, generate_series(1, 1000) b';
  await assert.rejects(limited.query(slow), error => error.code === '57014');
  await Promise.all([pool.end(), limited.end()]);
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1); });
