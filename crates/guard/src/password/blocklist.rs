//! The most common passwords, searched where they lie in the binary: no copy, no set, no memory
//! beyond the pages touched.

/// One a line, lower case, sorted by byte value, the last line ended too.
static COMMON: &str = include_str!("../../data/common_passwords.txt");

/// Whether `folded` (lower case already) is a common password in any of its forms: as it is,
/// without trailing digits and punctuation, and each of the two with the usual letter substitutions
/// undone.
pub(super) fn is_common(folded: &str) -> bool {
    let stem = folded.trim_end_matches(|c: char| c.is_numeric() || c.is_ascii_punctuation());
    [folded, stem].into_iter().any(|form| contains(form) || contains(&plain_letters(form)))
}

fn plain_letters(text: &str) -> String {
    let plain = |c| match c {
        '@' => 'a',
        '0' => 'o',
        '$' => 's',
        '1' => 'i',
        '3' => 'e',
        other => other,
    };
    text.chars().map(plain).collect()
}

/// Binary search by byte position: the line around the middle of what is left.
fn contains(word: &str) -> bool {
    let lines = COMMON.as_bytes();
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = lines[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
        let length = lines[middle..high].iter().position(|byte| *byte == b'\n');
        let end = length.map_or(high, |length| middle + length);
        match lines[start..end].cmp(word.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_unique_lower_case_and_at_most_30_000_long() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!((29_000..=30_000).contains(&lines.len()), "{}", lines.len());
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(lines.iter().all(|line| !line.is_empty() && *line == line.to_lowercase()));
        assert!(COMMON.ends_with('\n') && !COMMON.contains('\r'));
    }

    #[test]
    fn every_line_is_found_and_its_neighbours_are_not() {
        let lines: std::collections::HashSet<&str> = COMMON.lines().collect();
        for line in &lines {
            assert!(contains(line), "{line}");
            let longer = format!("{line}\u{1}");
            assert!(!contains(&longer), "{longer}");
            let shorter = &line[..line.len() - 1];
            assert_eq!(contains(shorter), lines.contains(shorter), "{shorter}");
        }
        for word in ["", "\n", "\u{0}", "zzzzzzzzzzzzzzzzzzzzz", "é", "password\n", "password\nqwerty"] {
            assert!(!contains(word), "{word:?}");
        }
    }
}
