//! "Did you mean": the known name nearest to a mistyped one.

/// ` (did you mean `x`?)` with the nearest candidate, or nothing when none is near.
pub(crate) fn suggest<S: AsRef<str>>(typed: &str, candidates: impl IntoIterator<Item = S>) -> String {
    /// Longer words are not compared: the distance takes time proportional to both lengths.
    const LONGEST: usize = 100;
    if typed.len() > LONGEST {
        return String::new();
    }
    let typed_lower = typed.to_ascii_lowercase();
    let allowed = (typed.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.as_ref().len() <= LONGEST)
        .map(|candidate| {
            let distance = strsim::osa_distance(&typed_lower, &candidate.as_ref().to_ascii_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!(" (did you mean `{}`?)", candidate.as_ref()))
        .unwrap_or_default()
}
