-- Counts the changes of a table, so that one made on an old reading is refused.
ALTER TABLE tables ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
