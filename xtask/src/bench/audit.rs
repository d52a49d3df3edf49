//! `cargo xtask bench audit`: what the audit log adds to a write, on both engines, and how many events a second it takes.
//!
//! The program under test is the product with an audit log that can be silenced (`measured` of `benches`): one program for both sides,
//! so that nothing but the events differs. A server is started anew for each measurement, sides in turn, on a `PostgreSQL` that keeps
//! what it commits. A write is held to be audited well if it reaches [`WANTED`] of the throughput of one that is not.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::load::{Load, Measured};
use super::product::{OPEN, Product};
use super::table::middle;
use super::{Built, Options};
use crate::postgres::Cluster;
use crate::{Failure, announce};

/// Of the requests a second of writes without audit, so many must be left.
const WANTED: f64 = 0.85;
/// Records that are there before.
const RECORDS: usize = 1_000;
/// Environment variable that silences the log of `measured`.
const SILENT: (&str, &str) = ("MEASURED_SILENT", "true");

/// One engine's measurements.
struct Sides {
    engine: &'static str,
    silent: Vec<Measured>,
    audited: Vec<Measured>,
    /// What `measured append` said.
    appended: String,
}

/// Measures both engines and holds them to what is wanted.
pub fn run(options: &Options, built: &Built, folder: &Path) -> Result<(), Failure> {
    let cluster = Cluster::start_durable()?;
    let sqlite = folder.join("sqlite");
    let file = format!("sqlite:///{}", sqlite.join("app.db").display());
    let all = [
        measure(options, "SQLite", &Product::seeded_at(&built.measured, sqlite, file, RECORDS)?, folder)?,
        measure(
            options,
            "PostgreSQL",
            &Product::seeded_at(&built.measured, folder.join("postgres"), cluster.url().to_owned(), RECORDS)?,
            folder,
        )?,
    ];
    let mut missed = false;
    for sides in &all {
        let rate = |side: &[Measured]| middle(side.iter().map(|one| one.per_second));
        let cpu = |side: &[Measured]| middle(side.iter().map(|one| one.cpu_micros));
        // Of pairs that were measured one after the other: what the machine did meanwhile hit both.
        let share =
            middle(sides.audited.iter().zip(&sides.silent).map(|(with, without)| with.per_second / without.per_second));
        missed |= share < WANTED;
        if options.json {
            println!(
                "{{\"engine\":\"{}\",\"silent_per_second\":{:.0},\"audited_per_second\":{:.0},\"share\":{share:.4}}}",
                sides.engine,
                rate(&sides.silent),
                rate(&sides.audited)
            );
            continue;
        }
        println!(
            "{}: {:.0} creates a second without audit ({:.1} µs of CPU each), {:.0} with it ({:.1} µs): {:.1} % of the throughput (wanted: at least {:.0} %)",
            sides.engine,
            rate(&sides.silent),
            cpu(&sides.silent),
            rate(&sides.audited),
            cpu(&sides.audited),
            share * 100.0,
            WANTED * 100.0,
        );
        println!("{}: {}", sides.engine, sides.appended);
    }
    if missed { Err(Failure::Broken("the audit log costs more than it may".to_owned())) } else { Ok(()) }
}

fn measure(options: &Options, engine: &'static str, product: &Product, folder: &Path) -> Result<Sides, Failure> {
    let load = Load::new(folder, options.seconds);
    let mut sides = Sides { engine, silent: Vec::new(), audited: Vec::new(), appended: String::new() };
    for repetition in 1..=options.repetitions {
        // Whoever comes second meets a larger database: they take turns.
        for silent in [repetition % 2 == 0, repetition % 2 == 1] {
            let mut settings = OPEN.to_vec();
            settings.extend(silent.then_some(SILENT));
            let server = product.start(&settings)?;
            let one = load.measure(&server, &product.create().with("Authorization", &server.token()?))?;
            if !options.json {
                let side = if silent { "without audit" } else { "with audit" };
                announce(&format!("{repetition}/{}  {engine} {side}: {:.0}/s", options.repetitions, one.per_second));
            }
            if silent { sides.silent.push(one) } else { sides.audited.push(one) }
        }
    }
    sides.appended = append(product, &folder.join("append"))?;
    Ok(sides)
}

/// Has events written as fast as they are taken, by the program itself.
fn append(product: &Product, said: &Path) -> io::Result<String> {
    let mut command = Command::new(product.program());
    product.command(&mut command);
    command.envs(OPEN).arg("append").stdin(Stdio::null()).stdout(File::create(said)?);
    let status = command.status()?;
    let mut text = String::new();
    File::open(said)?.read_to_string(&mut text)?;
    match (status.success(), text.lines().last()) {
        (true, Some(line)) => Ok(line.to_owned()),
        _ => Err(io::Error::other(format!("events could not be appended: {text}"))),
    }
}
