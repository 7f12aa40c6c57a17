//! The table of figures: one JSON line per row in target/cable/figures.jsonl, and all of them in table.md.

use serde_json::{Value, json};
use std::path::PathBuf;

/// What one row says.
pub struct Row {
    /// The fault.
    pub fault: String,
    /// Bound of the client's gap, in words.
    pub bound: String,
    /// Client gaps of all runs that could be judged, in milliseconds.
    pub gaps: Vec<f64>,
    /// Longest time with two owners, in milliseconds.
    pub two: f64,
    /// Time between two questions of the observer, in milliseconds.
    pub step: f64,
    /// Worst stall of this machine in these runs, in milliseconds.
    pub stall: f64,
    /// Runs that could not be judged.
    pub unjudged: usize,
}

/// Writes a row, in place of an older one for the same fault.
pub fn record(row: &Row) {
    let mut gaps = row.gaps.clone();
    gaps.sort_by(f64::total_cmp);
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or(f64::NAN);
    let worst = gaps.last().copied().unwrap_or(f64::NAN);
    write(
        "fault",
        &row.fault,
        json!({
            "fault": row.fault, "bound": row.bound, "runs": gaps.len(), "gap_median_ms": median, "gap_worst_ms": worst,
            "two_owners_ms": row.two, "step_ms": row.step, "worst_stall_ms": row.stall, "unjudged": row.unjudged,
        }),
    );
}

/// Writes what a node costs while nothing happens.
pub fn record_cost(node: &str, cost: Value) {
    let mut line = json!({ "idle": node });
    if let (Some(line), Value::Object(cost)) = (line.as_object_mut(), cost) {
        line.extend(cost);
    }
    write("idle", node, line);
}

fn write(key: &str, name: &str, line: Value) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/cable");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("figures.jsonl");
    // Whoever takes the table away wants a new one.
    let fresh = !folder.join("table.md").exists();
    let old = if fresh { String::new() } else { std::fs::read_to_string(&path).unwrap_or_default() };
    let mut lines: Vec<Value> = old.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.retain(|old| old[key] != name);
    lines.push(line);
    lines.sort_by_key(|line| line["fault"].as_str().unwrap_or("~").to_owned());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.join("table.md"), table(&lines)).unwrap();
}

fn table(lines: &[Value]) -> String {
    let figure = |line: &Value, key: &str| line[key].as_f64().map_or("-".into(), |value| format!("{value:.1}"));
    let mut text = String::from(
        "# Figures of the last run of tests/cable\n\nkeepalive 50 ms, deadtime 500 ms, two networks; a question of the client every 2 ms. \
         Milliseconds. \"Stall\" is how long this machine did not let the measuring threads run, at worst; \"not judged\" are runs \
         repeated because of it.\n\n| fault at the owner | bound | runs | client gap, median | worst | two owners (step) | stall | not judged |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for line in lines.iter().filter(|line| line["fault"].is_string()) {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} ({}) | {} | {} |\n",
            line["fault"].as_str().unwrap_or(""),
            line["bound"].as_str().unwrap_or(""),
            line["runs"],
            figure(line, "gap_median_ms"),
            figure(line, "gap_worst_ms"),
            figure(line, "two_owners_ms"),
            figure(line, "step_ms"),
            figure(line, "worst_stall_ms"),
            line["unjudged"],
        ));
    }
    text.push_str(
        "\n| idle node | CPU ms/s | of a bare loop | resident MB | processes | packets/s sent | bytes/s sent |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for line in lines.iter().filter(|line| line["idle"].is_string()) {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            line["idle"].as_str().unwrap_or(""),
            figure(line, "cpu_ms_per_s"),
            figure(line, "bare_ms_per_s"),
            figure(line, "resident_mb"),
            line["processes"],
            figure(line, "packets_per_s"),
            figure(line, "bytes_per_s"),
        ));
    }
    text
}
