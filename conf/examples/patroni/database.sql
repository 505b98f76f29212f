-- mod_scim on three machines: the role and the database that the store is in.
-- Run once by psql as the user postgres on the Leader, with the role's password in
-- place of this one; the same stands in the passfile that scim.conf names.
SET password_encryption = 'scram-sha-256';
CREATE ROLE scim LOGIN PASSWORD 'scim-secret';
CREATE DATABASE scim OWNER scim ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
REVOKE ALL ON DATABASE scim FROM PUBLIC;
