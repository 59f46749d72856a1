//! Tables for things that Lakeport does not have. Clients join them, so their columns must exist.

use super::SystemTable;
use super::Ty::{Bool, Int, Text, Texts};

macro_rules! empty {
    ($($name:literal: $($column:literal $ty:expr),+;)*) => {
        pub(super) const TABLES: &[SystemTable] =
            &[$(SystemTable { name: $name, columns: &[$(($column, $ty)),+], rows: |_| Vec::new() }),*];
    };
}

empty! {
    "pg_cast": "oid" Int, "castsource" Int, "casttarget" Int, "castfunc" Int, "castcontext" Text, "castmethod" Text;
    "pg_conversion": "oid" Int, "conname" Text, "connamespace" Int, "conowner" Int, "conforencoding" Int, "contoencoding" Int, "conproc" Int, "condefault" Bool;
    "pg_default_acl": "oid" Int, "defaclrole" Int, "defaclnamespace" Int, "defaclobjtype" Text, "defaclacl" Texts;
    "pg_depend": "classid" Int, "objid" Int, "objsubid" Int, "refclassid" Int, "refobjid" Int, "refobjsubid" Int, "deptype" Text;
    "pg_enum": "oid" Int, "enumtypid" Int, "enumsortorder" Int, "enumlabel" Text;
    "pg_event_trigger": "oid" Int, "evtname" Text, "evtevent" Text, "evtowner" Int, "evtfoid" Int, "evtenabled" Text;
    "pg_extension": "oid" Int, "extname" Text, "extowner" Int, "extnamespace" Int, "extrelocatable" Bool, "extversion" Text;
    "pg_foreign_data_wrapper": "oid" Int, "fdwname" Text, "fdwowner" Int, "fdwoptions" Texts;
    "pg_foreign_server": "oid" Int, "srvname" Text, "srvowner" Int, "srvfdw" Int, "srvoptions" Texts;
    "pg_foreign_table": "ftrelid" Int, "ftserver" Int, "ftoptions" Texts;
    "pg_inherits": "inhrelid" Int, "inhparent" Int, "inhseqno" Int, "inhdetachpending" Bool;
    "pg_language": "oid" Int, "lanname" Text, "lanowner" Int, "lanispl" Bool;
    "pg_locks": "locktype" Text, "database" Int, "relation" Int, "pid" Int, "mode" Text, "granted" Bool;
    "pg_matviews": "schemaname" Text, "matviewname" Text, "matviewowner" Text, "ispopulated" Bool, "definition" Text;
    "pg_opclass": "oid" Int, "opcname" Text, "opcnamespace" Int, "opcmethod" Int, "opcintype" Int, "opcdefault" Bool;
    "pg_operator": "oid" Int, "oprname" Text, "oprnamespace" Int, "oprleft" Int, "oprright" Int, "oprresult" Int;
    "pg_partitioned_table": "partrelid" Int, "partstrat" Text, "partnatts" Int, "partdefid" Int;
    "pg_policy": "oid" Int, "polname" Text, "polrelid" Int, "polcmd" Text, "polpermissive" Bool, "polroles" Texts, "polqual" Text, "polwithcheck" Text;
    "pg_proc": "oid" Int, "proname" Text, "pronamespace" Int, "proowner" Int, "prolang" Int, "prokind" Text, "prorettype" Int, "proargtypes" Texts, "proargnames" Texts, "prosrc" Text, "proretset" Bool, "pronargs" Int, "provolatile" Text;
    "pg_publication": "oid" Int, "pubname" Text, "pubowner" Int, "puballtables" Bool, "pubinsert" Bool, "pubupdate" Bool, "pubdelete" Bool, "pubtruncate" Bool, "pubviaroot" Bool;
    "pg_publication_namespace": "oid" Int, "pnpubid" Int, "pnnspid" Int;
    "pg_publication_rel": "oid" Int, "prpubid" Int, "prrelid" Int, "prqual" Text, "prattrs" Texts;
    "pg_range": "rngtypid" Int, "rngsubtype" Int, "rngmultitypid" Int, "rngcollation" Int, "rngsubopc" Int;
    "pg_replication_slots": "slot_name" Text, "plugin" Text, "slot_type" Text, "active" Bool;
    "pg_rewrite": "oid" Int, "rulename" Text, "ev_class" Int, "ev_type" Text, "ev_enabled" Text, "is_instead" Bool;
    "pg_sequence": "seqrelid" Int, "seqtypid" Int, "seqstart" Int, "seqincrement" Int, "seqmax" Int, "seqmin" Int, "seqcycle" Bool;
    "pg_stat_activity": "datid" Int, "datname" Text, "pid" Int, "usename" Text, "application_name" Text, "state" Text, "query" Text;
    "pg_statistic_ext": "oid" Int, "stxrelid" Int, "stxname" Text, "stxnamespace" Int, "stxowner" Int, "stxstattarget" Int, "stxkeys" Texts, "stxkind" Texts;
    "pg_trigger": "oid" Int, "tgrelid" Int, "tgparentid" Int, "tgname" Text, "tgfoid" Int, "tgtype" Int, "tgenabled" Text, "tgisinternal" Bool, "tgconstraint" Int, "tgdeferrable" Bool, "tginitdeferred" Bool;
    "pg_views": "schemaname" Text, "viewname" Text, "viewowner" Text, "definition" Text;
}
