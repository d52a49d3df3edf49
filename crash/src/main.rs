//! The crash harness: a server under load is killed, its disk fills up, its database goes away, again and again; after each time it is
//! held against what it had answered.
//!
//! It knows the product from outside: the binary, its settings and its HTTP API. Only the look at the database file goes deeper, because
//! that file's health is what is in question.

mod client;
mod disk;
mod fault;
mod invariants;
mod journal;
mod load;
mod options;
mod random;
mod round;
mod server;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use xtask::announce;
use xtask::postgres::Cluster;

use fault::Fault;
use options::{Engine, Options, USAGE};
use random::Random;
use round::Round;

/// Exit code for a command line that makes no sense.
const WRONG_USAGE: u8 = 2;
/// Broken promises told of one round: one cause breaks many.
const TOLD: usize = 5;
/// Rounds after which an empty database takes the place of the one so far, which has grown to a good part of the small disk.
const STRETCH: u64 = 100;
/// Rounds between two lines of progress.
const PROGRESS: u64 = 25;

/// What came of the rounds on one engine.
struct Report {
    engine: Engine,
    rounds: BTreeMap<Fault, u64>,
    answered: u64,
    refused: u64,
    interrupted: u64,
    slowest_start_ms: u128,
    broken: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(reason) => {
            eprint!("error: {reason}\n\n{USAGE}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    announce(&format!("seed {}", options.seed));
    let mut reports = Vec::new();
    for engine in &options.engines {
        match run(&options, *engine) {
            Ok(report) => reports.push(report),
            Err(reason) => {
                eprintln!("error: {}: {reason}", engine.name());
                return ExitCode::FAILURE;
            }
        }
    }
    print(&reports, options.json);
    if reports.iter().all(|report| report.broken.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: &Options, engine: Engine) -> Result<Report, String> {
    let faults = options.faults(engine);
    let mut random = Random::new(options.seed);
    let mut report = Report {
        engine,
        rounds: BTreeMap::new(),
        answered: 0,
        refused: 0,
        interrupted: 0,
        slowest_start_ms: 0,
        broken: Vec::new(),
    };
    if faults.is_empty() {
        return Ok(report);
    }
    let cluster = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(Cluster::start_durable().map_err(|error| error.to_string())?),
    };
    let mut round = Round::new(&options.binary, cluster.as_ref(), &faults, random.fork())?;
    let began = Instant::now();
    for number in 1..=options.rounds {
        // A server of PostgreSQL has its files elsewhere.
        if engine == Engine::Sqlite && number > 1 && number % STRETCH == 1 {
            report.end(&mut round);
            drop(round);
            round = Round::new(&options.binary, cluster.as_ref(), &faults, random.fork())?;
        }
        let fault = choose(&faults, number, &mut random);
        let broken = round.play(fault);
        if !broken.is_empty() {
            tell_log(&round);
        }
        *report.rounds.entry(fault).or_default() += 1;
        for line in broken.into_iter().take(TOLD) {
            announce(&format!("{} round {number}, {}: {line}", engine.name(), fault.name()));
            report.broken.push(format!("round {number}, {}: {line}", fault.name()));
        }
        if number.is_multiple_of(PROGRESS) || number == options.rounds {
            let answered = report.answered + round.journal.answered;
            let seconds = began.elapsed().as_secs();
            announce(&format!(
                "{}: {number} of {} rounds in {seconds} s, {answered} requests answered, {} promises broken",
                engine.name(),
                options.rounds,
                report.broken.len()
            ));
        }
    }
    report.end(&mut round);
    Ok(report)
}

impl Report {
    /// Looks at all that a server was asked to keep, and takes over what it counted.
    fn end(&mut self, round: &mut Round<'_>) {
        self.broken.extend(round.conclude().into_iter().map(|line| format!("in the end: {line}")));
        self.answered += round.journal.answered;
        self.refused += round.journal.refused;
        self.interrupted += round.journal.broken;
        self.slowest_start_ms = self.slowest_start_ms.max(round.slowest_start.as_millis());
    }
}

/// The last lines of the server's log, for whoever has to find out.
fn tell_log(round: &Round<'_>) {
    let log = round.server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    for line in &lines[lines.len().saturating_sub(TOLD)..] {
        announce(&format!("log: {line}"));
    }
}

/// Every fault comes once before chance decides. What takes long comes less often.
fn choose(faults: &[Fault], number: u64, random: &mut Random) -> Fault {
    let at = |number: u64| usize::try_from(number).unwrap_or(0);
    if at(number) <= faults.len() {
        return faults[at(number) - 1];
    }
    let drawn = faults[at(random.below(u64::try_from(faults.len()).unwrap_or(1)))];
    let is_quick = matches!(drawn, Fault::Kill | Fault::Term);
    if is_quick || !faults.contains(&Fault::Kill) || random.below(10) == 0 { drawn } else { Fault::Kill }
}

fn print(reports: &[Report], as_json: bool) {
    if as_json {
        let engines: Vec<_> = reports.iter().map(as_value).collect();
        println!("{}", json!({"engines": engines}));
        return;
    }
    println!("\n{:<12}{:<16}{:>8}", "engine", "fault", "rounds");
    for report in reports {
        for (fault, rounds) in &report.rounds {
            println!("{:<12}{:<16}{rounds:>8}", report.engine.name(), fault.name());
        }
    }
    println!(
        "\n{:<12}{:>10}{:>10}{:>13}{:>17}{:>10}",
        "engine", "answered", "refused", "interrupted", "slowest start", "broken"
    );
    for report in reports {
        let start = format!("{} ms", report.slowest_start_ms);
        println!(
            "{:<12}{:>10}{:>10}{:>13}{start:>17}{:>10}",
            report.engine.name(),
            report.answered,
            report.refused,
            report.interrupted,
            report.broken.len()
        );
        for line in &report.broken {
            println!("  {line}");
        }
    }
}

fn as_value(report: &Report) -> serde_json::Value {
    let rounds: serde_json::Map<_, _> =
        report.rounds.iter().map(|(fault, rounds)| (fault.name().to_owned(), json!(rounds))).collect();
    json!({
        "engine": report.engine.name(),
        "rounds": rounds,
        "answered": report.answered,
        "refused": report.refused,
        "interrupted": report.interrupted,
        "slowest_start_ms": report.slowest_start_ms,
        "broken": report.broken,
    })
}
