import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** JDBC: what tools built on it ask for: metadata, prepared statements, batches, fetch size, generated keys, COPY. */
public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            tables(connection);
            metadata(connection);
            statements(connection);
            transactions(connection);
            copies(connection);
        }
    }

    static void tables(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE SCHEMA fleet");
            statement.execute("CREATE TABLE fleet.rides (day DATE, leg INT4, rider STRING NOT NULL, fare DECIMAL(10,2) DEFAULT 0, PRIMARY KEY (day, leg))");
            statement.execute("CREATE TABLE riders (id INT PRIMARY KEY, name VARCHAR(20))");
            statement.execute("COMMENT ON TABLE riders IS 'who rides'");
        }
    }

    /** What schema browsers show. */
    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData meta = connection.getMetaData();
        same("PostgreSQL", meta.getDatabaseProductName());
        same(15, meta.getDatabaseMajorVersion());
        same(List.of("defaultdb"), column(meta.getCatalogs(), "TABLE_CAT"));
        same(List.of("fleet", "information_schema", "pg_catalog", "public"), column(meta.getSchemas(), "TABLE_SCHEM"));
        same(List.of("fleet.rides/null", "public.riders/who rides"),
            rows(meta.getTables(null, null, "%", new String[] {"TABLE"}), "TABLE_SCHEM", "TABLE_NAME", "REMARKS"));
        same(true, column(meta.getTables(null, "pg_catalog", "pg_class", null), "TABLE_NAME").contains("pg_class"));
        same(List.of("TABLE", "VIEW"), column(meta.getTableTypes(), "TABLE_TYPE").stream().filter(type -> type.equals("TABLE") || type.equals("VIEW")).toList());
        ResultSet columns = meta.getColumns(null, "fleet", "rides", null);
        List<String> found = new ArrayList<>();
        while (columns.next()) {
            found.add(columns.getString("COLUMN_NAME") + " " + columns.getInt("DATA_TYPE") + " " + columns.getString("TYPE_NAME") + " "
                + columns.getInt("COLUMN_SIZE") + " " + columns.getInt("DECIMAL_DIGITS") + " " + columns.getString("IS_NULLABLE") + " "
                + columns.getString("COLUMN_DEF") + " " + columns.getInt("ORDINAL_POSITION"));
        }
        same(List.of("day 91 date 13 0 NO null 1", "leg 4 int4 10 0 NO null 2", "rider 12 text 2147483647 0 NO null 3",
            "fare 2 numeric 10 2 YES 0 4"), found);
        same(List.of("day.1/rides_pkey", "leg.2/rides_pkey"), rows(meta.getPrimaryKeys(null, "fleet", "rides"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"));
        same(List.of("rides_pkey.day/1", "rides_pkey.leg/2"),
            rows(meta.getIndexInfo(null, "fleet", "rides", true, false), "INDEX_NAME", "COLUMN_NAME", "ORDINAL_POSITION"));
        same(List.of(), column(meta.getImportedKeys(null, "fleet", "rides"), "FKTABLE_NAME"));
        same(List.of(), column(meta.getExportedKeys(null, "fleet", "rides"), "FKTABLE_NAME"));
        same(List.of(), column(meta.getProcedures(null, "public", null), "PROCEDURE_NAME"));
        same(List.of(), column(meta.getFunctions(null, "public", null), "FUNCTION_NAME"));
        same(true, column(meta.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int8", "text", "numeric", "timestamptz", "uuid")));
        same(true, column(meta.getTablePrivileges(null, "fleet", "rides"), "PRIVILEGE").contains("SELECT"));
        same(true, column(meta.getColumnPrivileges(null, "fleet", "rides", "fare"), "PRIVILEGE").contains("SELECT"));
        same(List.of("day", "leg"), column(meta.getBestRowIdentifier(null, "fleet", "rides", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"));
        same(List.of(), column(meta.getUDTs(null, null, "%", null), "TYPE_NAME"));
        same(true, meta.getSQLKeywords().contains("analyze"));
        same(true, meta.getMaxColumnNameLength() > 60);
    }

    static void statements(Connection connection) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO riders VALUES (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                insert.setInt(1, i);
                insert.setString(2, "rider " + i);
                insert.addBatch();
            }
            same(500, Arrays.stream(insert.executeBatch()).map(count -> Math.abs(count)).filter(count -> count == 1 || count == 2).map(count -> 1).sum());
        }
        // More than five times, so that the driver prepares it on the server and asks for binary values.
        try (PreparedStatement select = connection.prepareStatement("SELECT id, name, ?::DECIMAL, now() FROM riders WHERE id = ?")) {
            for (int i = 0; i < 10; i++) {
                select.setBigDecimal(1, new BigDecimal("1.25"));
                select.setLong(2, i);
                try (ResultSet row = select.executeQuery()) {
                    same(true, row.next());
                    same(List.of((long) i, "rider " + i), List.of(row.getLong(1), row.getString(2)));
                    same(0, new BigDecimal("1.25").compareTo(row.getBigDecimal(3)));
                    same(true, row.getTimestamp(4).getTime() > 0);
                }
            }
            same(List.of("int8", "varchar"), List.of(select.getMetaData().getColumnTypeName(1), select.getMetaData().getColumnTypeName(2)));
            same(2, select.getParameterMetaData().getParameterCount());
        }
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO riders VALUES (1000, 'new')", Statement.RETURN_GENERATED_KEYS)) {
            same(1, insert.executeUpdate());
            ResultSet keys = insert.getGeneratedKeys();
            same(true, keys.next());
            same(1000, keys.getInt("id"));
        }
        try (PreparedStatement any = connection.prepareStatement("SELECT count(*) FROM riders WHERE id = ANY(?)")) {
            any.setArray(1, connection.createArrayOf("int8", new Long[] {1L, 2L, 5000L}));
            ResultSet row = any.executeQuery();
            row.next();
            same(2, row.getInt(1));
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("SELECT * FROM nope");
            throw new AssertionError("a table that is not there");
        } catch (SQLException error) {
            same("42P01", error.getSQLState());
        }
    }

    /** Blocks, isolation levels, and rows fetched in portions, which the driver does in a block only. */
    static void transactions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        same(Connection.TRANSACTION_REPEATABLE_READ, connection.getTransactionIsolation());
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(40);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("SELECT id FROM riders ORDER BY id")) {
                while (rows.next()) {
                    count++;
                }
            }
            same(501, count);
            statement.executeUpdate("DELETE FROM riders");
            connection.rollback();
            same(501, statement.executeUpdate("UPDATE riders SET name = upper(name)"));
            Savepoint outer = connection.setSavepoint("outer");
            same(1, statement.executeUpdate("DELETE FROM riders WHERE id = 1"));
            Savepoint inner = connection.setSavepoint();
            try {
                statement.executeUpdate("INSERT INTO riders VALUES (2, 'again')");
                throw new AssertionError("a key that is taken");
            } catch (SQLException error) {
                same("23505", error.getSQLState());
            }
            connection.rollback(inner);
            connection.rollback(outer);
            connection.releaseSavepoint(outer);
            same(1, statement.executeUpdate("UPDATE riders SET name = 'one' WHERE id = 1"));
            connection.commit();
        }
        connection.setAutoCommit(true);
        connection.setReadOnly(true);
        connection.setReadOnly(false);
        connection.setSchema("fleet");
        same("fleet", connection.getSchema());
        connection.setSchema("public");
        same(true, connection.isValid(5));
        connection.setClientInfo("ApplicationName", "night");
        same("night", connection.getClientInfo("ApplicationName"));
    }

    static void copies(Connection connection) throws Exception {
        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        same(2L, copy.copyIn("COPY riders FROM STDIN WITH (FORMAT csv)", new java.io.StringReader("2000,a\n2001,b\n")));
        java.io.StringWriter out = new java.io.StringWriter();
        copy.copyOut("COPY (SELECT id, name FROM riders WHERE id >= 2000 ORDER BY id) TO STDOUT WITH (FORMAT csv)", out);
        same("2000,a\n2001,b\n", out.toString());
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(name));
        }
        return values;
    }

    /** `first.second/third` of each row. */
    static List<String> rows(ResultSet rows, String first, String second, String third) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(first) + "." + rows.getString(second) + "/" + rows.getString(third));
        }
        return values;
    }

    static void same(Object wanted, Object found) {
        if (!wanted.equals(found)) {
            throw new AssertionError("wanted " + wanted + ", found " + found);
        }
    }
}
