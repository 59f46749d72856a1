//! The numbers of `/metrics`. They are counted where they arise; a scrape reads them all and prints them.

use lakeport_catalog::Catalog;
use lakeport_catalog::model::Job;
use lakeport_core::Server;
use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// All metrics in Prometheus' text format.
///
/// # Errors
/// A name used twice, or the catalog failing.
pub async fn render(server: &Server, catalog: &dyn Catalog) -> anyhow::Result<String> {
    let registry = Registry::new();
    build(&registry)?;
    process(&registry)?;
    sessions(&registry, server)?;
    storage(&registry, server)?;
    upkeep(&registry, server)?;
    schedules(&registry, server)?;
    jobs(&registry, &catalog.read().await?.jobs().await?)?;
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

fn build(registry: &Registry) -> prometheus::Result<()> {
    let build = gauges(registry, "lakeport_build_info", "1, labelled with the version", &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

/// Bytes of a page of memory and ticks of a second of `/proc`, as Linux has them on the machines we build for.
const PAGE_BYTES: i64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

/// What Linux says of this process; nothing where it cannot be read.
fn process(registry: &Registry) -> prometheus::Result<()> {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return Ok(()) };
    // The fields after the command's name, which may hold spaces and ends with a parenthesis, start with the third.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let (user_ticks, system_ticks, resident_pages) = (field(14), field(15), field(24));
    let memory = IntGauge::new("process_resident_memory_bytes", "memory in use, in bytes")?;
    memory.set(resident_pages * PAGE_BYTES);
    let cpu = Counter::new("process_cpu_seconds_total", "processor time used, in seconds")?;
    cpu.inc_by((user_ticks + system_ticks) as f64 / TICKS_PER_SECOND);
    registry.register(Box::new(memory))?;
    registry.register(Box::new(cpu))
}

fn sessions(registry: &Registry, server: &Server) -> prometheus::Result<()> {
    let sessions = IntGauge::new("lakeport_sessions", "SQL sessions open now")?;
    sessions.set(server.session_count());
    registry.register(Box::new(sessions))?;
    let help = "statements run, by topic and outcome";
    let statements = counters(registry, "lakeport_statements_total", help, &["topic", "outcome"])?;
    for (topic, outcome, count) in server.statement_counts() {
        statements.with_label_values(&[topic, outcome]).inc_by(count);
    }
    Ok(())
}

fn storage(registry: &Registry, server: &Server) -> prometheus::Result<()> {
    let counter = |name, help| counters(registry, name, help, &["kind"]);
    let requests = counter("lakeport_storage_requests_total", "requests to external storage")?;
    let errors = counter("lakeport_storage_errors_total", "failed requests to external storage")?;
    let read = counter("lakeport_storage_read_bytes_total", "bytes received from external storage")?;
    let written = counter("lakeport_storage_written_bytes_total", "bytes sent to external storage")?;
    for (kind, usage) in server.meter().snapshot() {
        requests.with_label_values(&[kind]).inc_by(usage.requests);
        errors.with_label_values(&[kind]).inc_by(usage.errors);
        read.with_label_values(&[kind]).inc_by(usage.bytes_read);
        written.with_label_values(&[kind]).inc_by(usage.bytes_written);
    }
    Ok(())
}

fn upkeep(registry: &Registry, server: &Server) -> prometheus::Result<()> {
    let counts = server.housekeeping().counts();
    for (name, help, count) in [
        ("lakeport_upkeep_runs_total", "times that a table was looked after", counts.runs),
        ("lakeport_upkeep_failures_total", "times that this failed", counts.failures),
        ("lakeport_upkeep_merged_files_total", "small data files merged into larger ones", counts.done.merged_files),
        ("lakeport_upkeep_checkpoints_total", "checkpoints written to tables' logs", counts.done.checkpoints),
        ("lakeport_upkeep_deleted_files_total", "data files deleted", counts.done.deleted_files),
        ("lakeport_upkeep_deleted_entries_total", "log entries deleted", counts.done.deleted_entries),
    ] {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(count);
        registry.register(Box::new(counter))?;
    }
    Ok(())
}

fn schedules(registry: &Registry, server: &Server) -> prometheus::Result<()> {
    let help = "runs of schedules that have ended, by outcome";
    let runs = counters(registry, "lakeport_schedule_runs_total", help, &["outcome"])?;
    for (outcome, count) in server.schedule_runs().read() {
        runs.with_label_values(&[outcome]).inc_by(count);
    }
    Ok(())
}

fn jobs(registry: &Registry, rows: &[Job]) -> prometheus::Result<()> {
    let jobs = gauges(registry, "lakeport_jobs", "jobs, by type and state", &["type", "state"])?;
    for job in rows {
        jobs.with_label_values(&[job.ty.as_str(), job.state.as_str()]).inc();
    }
    Ok(())
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
