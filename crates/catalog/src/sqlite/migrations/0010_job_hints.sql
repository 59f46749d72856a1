-- The remedy for `error`.
ALTER TABLE jobs ADD COLUMN error_hint TEXT;
