//! `cargo xtask bench tax`: what each protection adds to a point read, one by one and together.
//!
//! A server is started anew for each measurement: two processes of one program differ by a few percent for as long as they live.
//! What no setting turns off is measured apart: the headers on a bare server with and without them, the request log by the CPU time of
//! the one thread that writes, which has nothing else to do while records are only read.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::load::{Asked, Load, Measured};
use super::product::{Product, Running};
use super::server::{Bare, Server, call};
use super::table::middle;
use super::{Built, Options};
use crate::{Failure, announce, workspace_root};

const BEGIN: &str = "<!-- tax: written by `cargo xtask bench tax` -->";
const END: &str = "<!-- tax: end -->";
const ORIGIN: &str = "https://app.example.com";
/// Rules that are in force while the IP filter is measured.
const IP_RULES: usize = 20;

/// Everything off that a setting turns off.
const OFF: [(&str, &str); 5] = [
    ("ENVIRONMENT", "development"),
    ("LOG_LEVEL", "WARNING"),
    ("RATE_LIMIT_ENABLED", "false"),
    ("IP_FILTER_ENABLED", "false"),
    ("CORS_ORIGINS", ORIGIN),
];
/// A limiter that counts and never refuses.
const LIMITER: [(&str, &str); 3] =
    [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_PER_MINUTE", "1000000000"), ("RATE_LIMIT_PER_HOUR", "1000000000")];

/// One thing to turn on.
struct Side {
    name: &'static str,
    settings: Vec<(&'static str, &'static str)>,
    origin: bool,
    token: bool,
    /// A header that an answer shows when the protection is at work.
    trace: Option<&'static str>,
}

fn sides() -> Vec<Side> {
    let side = |name, settings: &[(&'static str, &'static str)], trace| Side {
        name,
        settings: settings.to_vec(),
        origin: false,
        token: false,
        trace,
    };
    let all: Vec<_> = LIMITER
        .into_iter()
        .chain([("ENVIRONMENT", "production"), ("LOG_LEVEL", "INFO"), ("IP_FILTER_ENABLED", "true")])
        .chain([("ALLOWED_HOSTS", "127.0.0.1")])
        .collect();
    vec![
        side("everything off", &[], None),
        side("access log", &[("LOG_LEVEL", "INFO")], None),
        side("rate limit", &LIMITER, Some("ratelimit")),
        side("IP rules", &[("IP_FILTER_ENABLED", "true")], None),
        side("host check", &[("ALLOWED_HOSTS", "127.0.0.1")], None),
        Side { origin: true, ..side("CORS: an allowed origin", &[], Some("access-control-allow-origin")) },
        Side { token: true, ..side("session: token and live session", &[], None) },
        side("production mode", &[("ENVIRONMENT", "production")], Some("strict-transport-security")),
        Side { origin: true, token: true, ..side("all of these together", &all, None) },
    ]
}

/// Measures and writes the table into the page.
pub fn run(options: &Options, built: &Built, folder: &Path) -> Result<(), Failure> {
    let say = |text: &str| {
        if !options.json {
            announce(text);
        }
    };
    say("seeding a database with 10,000 records");
    let product = Product::seeded(&built.product, folder)?;
    let rules = add_ip_rules(&product)?;
    say(&format!("{rules} IP rules are in force while they are measured"));
    let load = Load::new(folder, options.seconds);
    let sides = sides();
    let mut measured: Vec<Vec<Measured>> = sides.iter().map(|_| Vec::new()).collect();
    let mut absent = Vec::new();
    let (mut constant, mut headers) = (Vec::new(), Vec::new());
    for repetition in 1..=options.repetitions {
        for (side, all) in sides.iter().zip(&mut measured) {
            let one = measure(side, &product, &load, &mut absent)?;
            say(&format!("{repetition}/{}  {}: {:.2} µs", options.repetitions, side.name, one.cpu_micros));
            all.push(one);
        }
        let bare = Bare::start(&built.bare, &product.database())?;
        constant.push(load.measure(&bare, &Asked::get(vec!["/constant".to_owned()]))?.cpu_micros);
        headers.push(load.measure(&bare, &Asked::get(vec!["/headers".to_owned()]))?.cpu_micros);
    }
    if rules == 0 {
        absent.push("IP rules");
    }
    let rows = rows(&sides, &measured, &constant, &headers);
    if options.json {
        let cells = rows.iter().map(|row| format!("\"{}\":[{:.3},{:.3}]", row.0, row.1, row.2));
        println!("{{{}}}", cells.collect::<Vec<_>>().join(","));
        return Ok(());
    }
    let text = text(&rows, &absent);
    println!("\n{text}");
    write_page(&text)?;
    Ok(())
}

fn add_ip_rules(product: &Product) -> io::Result<usize> {
    let server = product.start(&OFF)?;
    let admin = server.admin()?;
    for number in 0..IP_RULES {
        let body = format!("{{\"cidr\":\"203.0.113.{number}/32\",\"rule_type\":\"block\",\"reason\":\"benchmark\"}}");
        let (status, _) = call(server.port(), "POST", "/api/v1/ip-rules", Some(&admin), &body)?;
        if !(200..300).contains(&status) {
            return Ok(number);
        }
    }
    Ok(IP_RULES)
}

fn measure(side: &Side, product: &Product, load: &Load, absent: &mut Vec<&'static str>) -> io::Result<Measured> {
    let mut settings = OFF.to_vec();
    settings.extend(&side.settings);
    let server = product.start(&settings)?;
    let mut asked = Asked::get(product.paths("/api/v1/collections/posts/records/"));
    if side.origin {
        asked = asked.with("Origin", ORIGIN);
    }
    if side.token {
        asked = asked.with("Authorization", &server.token()?);
    }
    if let Some(trace) = side.trace
        && !shows(&server, side, trace)?
        && !absent.contains(&side.name)
    {
        absent.push(side.name);
    }
    load.measure(&server, &asked)
}

/// Whether an answer of the server has this header.
fn shows(server: &Running, side: &Side, trace: &str) -> io::Result<bool> {
    let origin = if side.origin { format!("Origin: {ORIGIN}\r\n") } else { String::new() };
    let head = super::server::head(server.port(), "/api/v1/collections", &origin)?;
    Ok(head.lines().any(|line| line.to_ascii_lowercase().starts_with(trace)))
}

/// Name, microseconds, spread.
type Row = (&'static str, f64, f64);

fn rows(sides: &[Side], measured: &[Vec<Measured>], constant: &[f64], headers: &[f64]) -> Vec<Row> {
    let spread = |all: &[f64]| {
        let (least, most) = all.iter().fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(*one), high.max(*one)));
        (most - least) / 2.0
    };
    // Each against the side without it of the same repetition: what the machine did meanwhile hit both.
    let against =
        |all: &[f64], base: &[f64]| -> Vec<f64> { all.iter().zip(base).map(|(one, base)| one - base).collect() };
    let cpu = |all: &[Measured]| -> Vec<f64> { all.iter().map(|one| one.cpu_micros).collect() };
    let base = cpu(&measured[0]);
    let mut rows = vec![(sides[0].name, middle(base.iter().copied()), spread(&base))];
    let row = |name, extra: Vec<f64>| (name, middle(extra.iter().copied()), spread(&extra));
    rows.extend(sides.iter().zip(measured).skip(1).map(|(side, all)| row(side.name, against(&cpu(all), &base))));
    rows.push(row("always on: security headers", against(headers, constant)));
    let log: Vec<f64> = measured[0].iter().map(|one| one.write_micros).collect();
    rows.push(row("always on: request log", log));
    rows
}

fn text(rows: &[Row], absent: &[&str]) -> String {
    let mut text = String::from("| A point read with | CPU µs | ± |\n|---|---:|---:|\n");
    for (at, (name, micros, spread)) in rows.iter().enumerate() {
        let sign = if at == 0 { "" } else { "+" };
        let note = if absent.contains(name) { " (no trace of it in the answers: not at work)" } else { "" };
        let _ = writeln!(text, "| {name}{note} | {} | {spread:.2} |", signed(*micros, sign));
    }
    text
}

fn signed(micros: f64, sign: &str) -> String {
    if micros < 0.0 { format!("{micros:.2}") } else { format!("{sign}{micros:.2}") }
}

/// Puts the table between its markers.
fn write_page(table: &str) -> Result<(), Failure> {
    let path = workspace_root().join("docs/performance.md");
    let page = fs::read_to_string(&path)?;
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else {
        return Err(Failure::Broken(format!("`{}` has no place for the table: `{BEGIN}` and `{END}`", path.display())));
    };
    fs::write(&path, format!("{head}{BEGIN}\n\n{table}\n{END}{tail}"))?;
    announce("docs/performance.md is written");
    Ok(())
}
