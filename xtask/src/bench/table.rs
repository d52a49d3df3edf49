//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use super::load::Measured;

/// All measurements of one kind of request.
pub struct Column {
    pub name: String,
    pub measured: Vec<Measured>,
}

impl Column {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), measured: Vec::new() }
    }

    pub fn add(&mut self, measured: &Measured) {
        self.measured.push(*measured);
    }

    /// CPU a request: the middle of all repetitions, microseconds.
    pub fn micros(&self) -> f64 {
        middle(self.measured.iter().map(|measured| measured.cpu_micros))
    }

    /// Half of what lies between the least and the most.
    pub fn spread(&self) -> f64 {
        let all = || self.measured.iter().map(|measured| measured.cpu_micros);
        (all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min)) / 2.0
    }
}

/// The middle of some numbers.
pub fn middle(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[at - 1], sorted[at]),
        _ => sorted[at],
    }
}

/// All kinds.
pub struct Table {
    pub columns: Vec<Column>,
}

impl Table {
    fn micros(&self, name: &str) -> f64 {
        self.columns.iter().find(|column| column.name == name).map_or(f64::NAN, Column::micros)
    }

    /// How many times `name` costs what `other` costs.
    pub fn ratio(&self, name: &str, other: &str) -> f64 {
        self.micros(name) / self.micros(other)
    }

    /// For people.
    pub fn text(&self) -> String {
        let bare = self.columns.first().map_or(f64::NAN, Column::micros);
        let mut text = format!(
            "{:<34}{:>12}{:>8}{:>12}{:>14}{:>10}{:>10}\n",
            "request", "CPU µs", "±", "× constant", "per second", "p50 µs", "p99 µs"
        );
        for column in &self.columns {
            let all = |pick: fn(&Measured) -> f64| middle(column.measured.iter().map(pick));
            let _ = writeln!(
                text,
                "{:<34}{:>12.2}{:>8.2}{:>12.2}{:>14.0}{:>10.0}{:>10.0}",
                column.name,
                column.micros(),
                column.spread(),
                column.micros() / bare,
                all(|measured| measured.per_second),
                all(|measured| super::load::float(measured.p50_micros)),
                all(|measured| super::load::float(measured.p99_micros)),
            );
        }
        text
    }

    /// For programs: one object, every repetition in it.
    pub fn json(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let all: Vec<String> = column
                    .measured
                    .iter()
                    .map(|m| {
                        format!(
                            "{{\"cpu_micros\":{:.3},\"write_micros\":{:.3},\"per_second\":{:.0},\"p50_micros\":{},\"p99_micros\":{}}}",
                            m.cpu_micros, m.write_micros, m.per_second, m.p50_micros, m.p99_micros
                        )
                    })
                    .collect();
                format!("\"{}\":{{\"cpu_micros\":{:.3},\"repetitions\":[{}]}}", column.name, column.micros(), all.join(","))
            })
            .collect();
        format!("{{{}}}", columns.join(","))
    }
}
