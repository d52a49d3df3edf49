//! `cargo xtask bench`: what a request costs the server, beside the same libraries with nothing around them; what each protection adds
//! to it; and what the audit log adds to a write.
//!
//! Servers run on one core and the load generator on another; repetitions are interleaved, so that whatever else the machine does
//! hits all alike. What is measured is the CPU time that the server's threads got, a request: that survives a busy machine better
//! than requests a second. Read the ratios of one run.

mod audit;
mod load;
mod product;
mod server;
mod table;
mod tax;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, announce, workspace_root};
use load::{Asked, Load};
use product::Product;
use server::{Bare, Server};
use table::{Column, Table};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// Requests, beside bare servers.
    Requests,
    /// What each protection adds.
    Tax,
    /// What the audit log adds to a write.
    Audit,
}

/// What can be chosen.
struct Options {
    subject: Subject,
    json: bool,
    repetitions: usize,
    seconds: u32,
    /// The product that is measured, instead of one built for it.
    binary: Option<PathBuf>,
}

/// A folder of a run, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = workspace_root().join("target").join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures; see the usage.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = read(arguments)?;
    check_tools()?;
    let built = build(&options)?;
    let folder = Folder::new()?;
    match options.subject {
        Subject::Requests => compare(&options, &built, &folder.0),
        Subject::Tax => tax::run(&options, &built, &folder.0),
        Subject::Audit => audit::run(&options, &built, &folder.0),
    }
}

fn read(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options { subject: Subject::Requests, json: false, repetitions: 5, seconds: 3, binary: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let given = words.next().and_then(|text| text.parse::<u32>().ok()).filter(|number| *number > 0);
            given.ok_or_else(|| Failure::Usage(format!("`{word}` needs a number above 0")))
        };
        match word.as_str() {
            "tax" => options.subject = Subject::Tax,
            "audit" => options.subject = Subject::Audit,
            "--json" => options.json = true,
            "--binary" => {
                let file = words.next().ok_or_else(|| Failure::Usage("`--binary` needs a file".to_owned()))?;
                options.binary = Some(fs::canonicalize(file)?);
            }
            "--reps" => options.repetitions = number()? as usize,
            "--seconds" => options.seconds = number()?,
            other => return Err(Failure::Usage(format!("`bench` knows no `{other}`"))),
        }
    }
    Ok(options)
}

/// The programs that are needed, before anything is built.
fn check_tools() -> Result<(), Failure> {
    for (tool, package) in [("wrk", "wrk"), ("taskset", "util-linux")] {
        let there = Command::new("sh").args(["-c", "command -v \"$1\" >/dev/null", "sh", tool]).status()?;
        if !there.success() {
            return Err(Failure::Broken(format!("`{tool}` is missing: install it with `apt-get install {package}`")));
        }
    }
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::Broken("two cores are needed: one for the servers, one for the load".to_owned()));
    }
    Ok(())
}

/// Where the programs under test are.
struct Built {
    product: PathBuf,
    bare: PathBuf,
    /// The product with an audit log that can be silenced.
    measured: PathBuf,
}

fn build(options: &Options) -> Result<Built, Failure> {
    if options.subject == Subject::Audit
        && let Some(product) = &options.binary
    {
        return Ok(Built { product: product.clone(), bare: PathBuf::new(), measured: product.clone() });
    }
    if !options.json {
        announce("building what is measured, optimised");
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--package", "fastcms-benches"]).current_dir(workspace_root());
    if options.binary.is_none() {
        cargo.args(["--package", "fastcms"]);
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(Failure::Broken("the build failed".to_owned()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from);
    let release = target.join("release");
    let product = options.binary.clone().unwrap_or_else(|| release.join("fastcms"));
    Ok(Built { product, bare: release.join("bare"), measured: release.join("measured") })
}

/// The product beside the bare servers.
fn compare(options: &Options, built: &Built, folder: &Path) -> Result<(), Failure> {
    let say = |text: &str| {
        if !options.json {
            announce(text);
        }
    };
    say("seeding a database with 10,000 records");
    let product = Product::seeded(&built.product, folder)?;
    let server = product.start(&product::OPEN)?;
    let bare = Bare::start(&built.bare, &product.database())?;
    let posts = product.paths("/api/v1/collections/posts/records/");
    let token = server.token()?;
    let rows: Vec<(&str, &dyn Server, Asked)> = vec![
        ("bare axum, constant answer", &bare, Asked::get(vec!["/constant".to_owned()])),
        ("bare axum and rusqlite, one row", &bare, Asked::get(product.paths("/posts/"))),
        ("health", &server, Asked::get(vec!["/health".to_owned()])),
        ("point read", &server, Asked::get(posts.clone())),
        ("point read with a token", &server, Asked::get(posts).with("Authorization", &token)),
        ("list of 30 with total", &server, Asked::get(vec!["/api/v1/collections/posts/records".to_owned()])),
        ("create", &server, product.create().with("Authorization", &token)),
    ];
    let mut columns: Vec<Column> = rows.iter().map(|(name, ..)| Column::new(name)).collect();
    let load = Load::new(folder, options.seconds);
    for repetition in 1..=options.repetitions {
        for ((name, server, asked), column) in rows.iter().zip(&mut columns) {
            let measured = load.measure(*server, asked)?;
            say(&format!("{repetition}/{}  {name}: {:.2} µs", options.repetitions, measured.cpu_micros));
            column.add(&measured);
        }
    }
    let table = Table { columns };
    if options.json {
        println!("{}", table.json());
    } else {
        println!("\n{}", table.text());
        let ratio = table.ratio("point read", "bare axum, constant answer");
        println!("A point read costs {ratio:.2} times a bare constant answer (wanted: at most 3).");
    }
    Ok(())
}
