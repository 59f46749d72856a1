-- What everybody could do before these privileges were asked for.
INSERT OR IGNORE INTO grants (object_kind, object_id, grantee, privilege, grant_option)
SELECT 'database', databases.id, roles.name, 'CONNECT', 0 FROM databases, roles WHERE roles.name = 'public';
INSERT OR IGNORE INTO grants (object_kind, object_id, grantee, privilege, grant_option)
SELECT 'schema', schemas.id, roles.name, 'USAGE', 0 FROM schemas, roles WHERE roles.name = 'public';
INSERT OR IGNORE INTO grants (object_kind, object_id, grantee, privilege, grant_option)
SELECT 'schema', schemas.id, roles.name, 'CREATE', 0 FROM schemas, roles
WHERE schemas.name = 'public' AND roles.name = 'public';
