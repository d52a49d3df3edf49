//! Counts what the test harness reports, from its plain text output.
//!
//! Knows two kinds of lines: `running N tests`, with which a test binary opens, and `test result: …`, with which it
//! closes. A binary that opened and never closed died on the way and counts as one failure. Of several closing lines
//! the last one counts: a failed test's own output is printed before it and may contain anything.

/// How far the test binary at hand has come.
#[derive(Debug, Default)]
enum Binary {
    #[default]
    NotOpened,
    Opened,
    Closed(TestResult),
}

/// The sums of a run so far.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed_tests: u64,
    ignored: u64,
    current: Binary,
    /// Binaries that opened and never closed.
    died: u64,
    failed_steps: Vec<String>,
}

impl Tally {
    /// Takes in one line of output.
    pub fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if is_opening(line) {
            self.settle();
            self.current = Binary::Opened;
        } else if let Some(result) = TestResult::parse(line)
            && !matches!(self.current, Binary::NotOpened)
        {
            self.current = Binary::Closed(result);
        }
    }

    /// To be called once when the test command is over, with whether it reported success. A failure that no line
    /// accounts for is a build that broke.
    pub fn finish_tests(&mut self, success: bool) {
        self.settle();
        if self.died > 0 {
            self.failed_steps.push(format!("{} test binaries died before their summary", self.died));
        } else if !success && self.failed_tests == 0 {
            self.failed_steps.push("tests: the build failed, see above".to_owned());
        }
    }

    /// Notes a step that failed as a whole.
    pub fn step_failed(&mut self, step: &str) {
        self.failed_steps.push(step.to_owned());
    }

    /// Tests that passed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Tests and whole steps that failed.
    pub fn failed(&self) -> u64 {
        self.failed_tests + u64::try_from(self.failed_steps.len()).unwrap_or(u64::MAX)
    }

    /// Tests marked as ignored.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The steps that failed as a whole, in order.
    pub fn failed_steps(&self) -> &[String] {
        &self.failed_steps
    }

    /// Adds up what the binary at hand has said, once it can say no more.
    fn settle(&mut self) {
        match std::mem::take(&mut self.current) {
            Binary::NotOpened => {}
            Binary::Opened => self.died += 1,
            Binary::Closed(result) => {
                self.passed += result.passed;
                self.failed_tests += result.failed;
                self.ignored += result.ignored;
            }
        }
    }
}

/// `running 12 tests`, `running 1 test`.
fn is_opening(line: &str) -> bool {
    line.strip_prefix("running ")
        .and_then(|rest| rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test")))
        .is_some_and(|count| count.parse::<u64>().is_ok())
}

/// The counts of one closing line.
#[derive(Debug, PartialEq, Eq)]
struct TestResult {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl TestResult {
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.03s`
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("test result: ")?;
        let (_verdict, counts) = rest.split_once(". ")?;
        let count = |name: &str| {
            counts.split("; ").find_map(|part| part.strip_suffix(name)?.strip_suffix(' ')?.parse::<u64>().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str], success: bool) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally.finish_tests(success);
        tally
    }

    const GOOD: &str =
        "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.03s\n";
    const BAD: &str =
        "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let tally = tally(&["running 6 tests\n", GOOD, "\n", "running 5 tests\n", BAD], false);
        assert_eq!((tally.passed(), tally.failed(), tally.ignored()), (8, 2, 1));
        assert!(tally.failed_steps().is_empty(), "failed tests are not counted a second time as a step");
    }

    #[test]
    fn lines_that_only_look_like_results_are_not_counted() {
        let tally = tally(
            &["running late tests", "test result: pending", "my test result: ok. 9 passed; 0 failed; 0 ignored"],
            true,
        );
        assert_eq!((tally.passed(), tally.failed()), (0, 0));
    }

    #[test]
    fn a_binary_that_dies_before_its_summary_is_one_failure() {
        let in_the_middle = tally(&["running 3 tests\n", "test a ... ok\n", "running 6 tests\n", GOOD], false);
        assert_eq!((in_the_middle.passed(), in_the_middle.failed()), (5, 1));
        let at_the_end = tally(&["running 6 tests\n", GOOD, "running 1 test\n"], false);
        assert_eq!((at_the_end.passed(), at_the_end.failed()), (5, 1));
    }

    #[test]
    fn what_a_failed_test_prints_cannot_pass_for_the_result() {
        let printed = "test result: ok. 900 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let tally = tally(&["running 5 tests\n", printed, BAD], false);
        assert_eq!((tally.passed(), tally.failed()), (3, 2));
    }

    #[test]
    fn a_build_that_breaks_is_one_failure() {
        let tally = tally(&[], false);
        assert_eq!((tally.passed(), tally.failed()), (0, 1));
    }

    #[test]
    fn a_step_that_fails_as_a_whole_is_one_failure() {
        let mut tally = tally(&["running 6 tests\n", GOOD], true);
        tally.step_failed("lints");
        assert_eq!((tally.passed(), tally.failed()), (5, 1));
    }
}
