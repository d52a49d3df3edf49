//! Claims about stored hashes and the pool. Vectors were made with the Python packages `bcrypt` and
//! `argon2-cffi`.

use std::time::Duration;

use super::*;
use crate::ids::SystemRng;

const QUICK: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
const UMLAUTS: &str = "Ünïcode pässwörd";
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Q0mhGFeAAk0Pw04fUyZLqkss4n4wmozxZWA2wGNR7gM";
const BCRYPT: &str = "$2b$04$h7d5tb4NUf27bGV1y0ZIqO2zj28M1fSVf7j9/z1pNd.koYpDBYk/W";

fn recommended() -> Hasher {
    Hasher::new(Arc::new(SystemRng))
}

fn quick() -> Hasher {
    Hasher::with_limits(Arc::new(SystemRng), QUICK, 2, 8)
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn verify(hasher: &Hasher, password: &str, stored: &str) -> Verdict {
    hasher.verify(secret(password), Some(stored)).await.unwrap()
}

const CURRENT: Verdict = Verdict::Match { needs_rehash: false };
const OLD: Verdict = Verdict::Match { needs_rehash: true };

#[tokio::test]
async fn a_hash_is_argon2id_with_the_recommended_cost_and_verifies() {
    let hasher = recommended();
    let stored = hasher.hash(secret("correct horse")).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    assert_eq!(verify(&hasher, "correct horse", &stored).await, CURRENT);
    assert_eq!(verify(&hasher, "correct hors", &stored).await, Verdict::Mismatch);
    assert_ne!(hasher.hash(secret("correct horse")).await.unwrap(), stored, "the salt is fresh");
    assert!(!Cost::RECOMMENDED.is_weak() && QUICK.is_weak());
}

#[tokio::test]
async fn hashes_of_another_implementation_verify_and_weaker_ones_are_told() {
    let hasher = recommended();
    for (stored, verdict) in [
        (ARGON2, CURRENT),
        ("$argon2id$v=19$m=20000,t=3,p=2$MDEyMzQ1Njc4OWFiY2RlZg$YYkTdoF1nL1YN47AV9wQE/S86oz7Qc9KVS8NgfNbJaY", CURRENT),
        ("$argon2id$v=19$m=1024,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$TE2OjOcXEpdhmLupXbmEOsB+sRO2+u2oTH1VLUwNTfc", OLD),
        ("$argon2i$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gx78/JwW3eE8rk1ni8uDMqJCPxsMQbE2mRz6qvPzkL4", OLD),
    ] {
        assert_eq!(verify(&hasher, UMLAUTS, stored).await, verdict, "{stored}");
        assert_eq!(verify(&hasher, "Unicode password", stored).await, Verdict::Mismatch, "{stored}");
    }
}

#[tokio::test]
async fn old_bcrypt_hashes_verify_with_the_cut_they_were_made_with() {
    let hasher = quick();
    let long = "x".repeat(72);
    let torn = "a".repeat(71);
    for (password, stored) in [
        ("correct horse", BCRYPT),
        (UMLAUTS, "$2b$04$/xNVenUDetKCHdiA7KrG4eUYDZFYIpS.7QLrU6M2EEHujsib.3zd."),
        (&format!("{long}IGNORED"), "$2b$04$zy2LoTJzlMm8VwqMvYEUPe5Y0Y9Va/cjOlxiylixGRfmIWDJ0eAhu"),
        (&format!("{long}other"), "$2b$04$zy2LoTJzlMm8VwqMvYEUPe5Y0Y9Va/cjOlxiylixGRfmIWDJ0eAhu"),
        (&format!("{torn}é tail"), "$2b$04$0TFD0vkeYXtSE/j1jHmkHeKkgreT3u1dqvFq.T5Feh8prr174LC9G"),
        (&torn, "$2b$04$0TFD0vkeYXtSE/j1jHmkHeKkgreT3u1dqvFq.T5Feh8prr174LC9G"),
    ] {
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let stored = stored.replace("$2b$", prefix);
            assert_eq!(verify(&hasher, password, &stored).await, OLD, "{password} {stored}");
            assert_eq!(
                verify(&hasher, &format!(" {password}"), &stored).await,
                Verdict::Mismatch,
                "{password} {stored}"
            );
        }
    }
}

#[tokio::test]
async fn ours_are_not_cut_anywhere() {
    let hasher = quick();
    let long = "x".repeat(99);
    let stored = hasher.hash(secret(&format!("{long}a"))).await.unwrap();
    assert_eq!(verify(&hasher, &format!("{long}a"), &stored).await, CURRENT);
    assert_eq!(verify(&hasher, &format!("{long}b"), &stored).await, Verdict::Mismatch);
    assert_eq!(verify(&hasher, &long, &stored).await, Verdict::Mismatch);
}

#[tokio::test]
async fn the_same_letter_from_two_keyboards_is_the_same_but_lookalikes_are_not() {
    let hasher = quick();
    let stored = hasher.hash(secret("caf\u{e9} am see")).await.unwrap();
    assert_eq!(verify(&hasher, "cafe\u{301} am see", &stored).await, CURRENT);
    let stored = hasher.hash(secret("ﬁnal² answer")).await.unwrap();
    assert_eq!(verify(&hasher, "final2 answer", &stored).await, Verdict::Mismatch);
}

#[tokio::test]
async fn whatever_cannot_match_still_costs_one_hash() {
    let hasher = quick();
    let stored = hasher.hash(secret("correct horse")).await.unwrap();
    let oversized = "x".repeat(MAX_BYTES + 1);
    let cases: &[(&str, Option<&str>)] = &[
        ("correct horse", None),
        ("", None),
        ("\0", None),
        (&oversized, None),
        ("correct horse\0", Some(&stored)),
        ("correct\0 horse", Some(BCRYPT)),
        (&oversized, Some(&stored)),
        ("", Some("")),
        ("correct horse", Some("correct horse")),
        ("correct horse", Some("!")),
        ("correct horse", Some("$argon2id$")),
        ("correct horse", Some("$argon2id$v=19$m=99999999,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Q0mhGFeAAk0Pw04fUyZLqg")),
        ("correct horse", Some("$argon2id$v=19$m=64,t=99999,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Q0mhGFeAAk0Pw04fUyZLqg")),
        ("correct horse", Some("$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$")),
        ("correct horse", Some("$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$AA$AA")),
        ("correct horse", Some("$2b$31$h7d5tb4NUf27bGV1y0ZIqO2zj28M1fSVf7j9/z1pNd.koYpDBYk/W")),
        ("correct horse", Some("$2b$04$h7d5tb4NUf27bGV1y0ZIqO2zj28M1fSVf7j9/z1pNd.koYpDBYk/")),
        ("correct horse", Some("$2b$04$ééééééééééééééééééééééééééé")),
        ("correct horse", Some("$2x$04$h7d5tb4NUf27bGV1y0ZIqO2zj28M1fSVf7j9/z1pNd.koYpDBYk/W")),
    ];
    for (password, stored) in cases {
        let before = hasher.computed();
        assert_eq!(hasher.verify(secret(password), *stored).await, Ok(Verdict::Mismatch), "{stored:?}");
        assert_eq!(hasher.computed(), before + 1, "{stored:?}");
    }
}

#[tokio::test]
async fn what_no_policy_lets_through_is_not_hashed() {
    let hasher = quick();
    for text in ["with a \0 inside", &"x".repeat(MAX_BYTES + 1)] {
        assert_eq!(hasher.hash(secret(text)).await, Err(HashError::Unfit));
    }
    assert_eq!(hasher.computed(), 0);
}

#[tokio::test]
async fn one_past_the_queue_is_refused_at_once_and_room_comes_back() {
    let hasher = Hasher::with_limits(Arc::new(SystemRng), Cost::RECOMMENDED, 2, 3);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let hasher = hasher.clone();
        running.spawn(async move { hasher.verify(secret("x"), None).await });
    }
    while hasher.admitted() < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hasher.verify(secret("x"), None).await, Err(HashError::Overloaded));
    assert_eq!(hasher.hash(secret("x")).await, Err(HashError::Overloaded));
    for verdict in running.join_all().await {
        assert_eq!(verdict, Ok(Verdict::Mismatch));
    }
    assert_eq!(hasher.verify(secret("x"), None).await, Ok(Verdict::Mismatch));
    assert_eq!(hasher.computed(), 6);
}

#[tokio::test]
async fn who_gives_up_in_the_queue_leaves_it() {
    let hasher = Hasher::with_limits(Arc::new(SystemRng), Cost::RECOMMENDED, 1, 1);
    let running = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.verify(secret("x"), None).await }
    });
    while hasher.admitted() < 1 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::time::timeout(Duration::ZERO, hasher.verify(secret("x"), None)).await;
    assert!(waiting.is_err() || hasher.computed() > 0);
    running.await.unwrap().unwrap();
    let left = async {
        while hasher.admitted() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), left).await.expect("both have left");
}

#[tokio::test]
async fn no_memory_is_kept_when_nothing_is_hashed() {
    let hasher = quick();
    let jobs: Vec<_> = (0..8)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.hash(secret("x")).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert_eq!(hasher.admitted(), 0);
    assert!(hasher.pool.spare().is_empty());
}

#[test]
fn debug_shows_no_secret() {
    assert_eq!(
        format!("{:?}", quick()),
        "Hasher { cost: Cost { memory_kib: 64, passes: 1, lanes: 1 }, admitted: 0, .. }"
    );
}
