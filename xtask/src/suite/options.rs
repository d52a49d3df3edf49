//! The command line of `cargo xtask test`.

/// What of the suite to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out formatting and lints.
    pub quick: bool,
    /// Only these crates; empty means all.
    pub packages: Vec<String>,
    /// Only tests whose name contains this.
    pub filter: Option<String>,
}

impl Options {
    /// Reads the arguments after `test`; the error is a sentence for the usage text.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "-p" | "--package" => {
                    let name = rest.next().filter(|name| !name.starts_with('-'));
                    options.packages.push(name.ok_or(format!("`{argument}` needs the name of a crate"))?.clone());
                }
                flag if flag.starts_with('-') => return Err(format!("unknown option `{flag}`")),
                filter if options.filter.is_none() => options.filter = Some(filter.to_owned()),
                other => return Err(format!("one filter only, `{other}` is one too many")),
            }
        }
        Ok(options)
    }

    /// Whether the crate whose API is checked is among them.
    pub fn covers_the_server(&self) -> bool {
        self.packages.is_empty() || self.packages.iter().any(|name| name == "fastcms")
    }

    /// The crates in the words of `cargo`.
    pub fn selection(&self) -> Vec<&str> {
        if self.packages.is_empty() {
            return vec!["--workspace"];
        }
        self.packages.iter().flat_map(|name| ["--package", name]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn no_arguments_mean_the_whole_workspace() {
        let options = parse("").unwrap();
        assert_eq!(options, Options::default());
        assert_eq!(options.selection(), ["--workspace"]);
    }

    #[test]
    fn crates_filter_and_quick_are_understood_in_any_order() {
        let options = parse("login -p one --quick --package two").unwrap();
        assert!(options.quick);
        assert_eq!(options.filter.as_deref(), Some("login"));
        assert_eq!(options.selection(), ["--package", "one", "--package", "two"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["--fast", "-p", "-p --quick", "one two", "--"] {
            assert!(parse(line).is_err(), "`{line}` was accepted");
        }
    }
}
