//! The transit engine: wrapping and unwrapping, and nothing else (<https://openbao.org/api-docs/secret/transit/>).
//!
//! What leaves is the little secret that is to be wrapped. It leaves only once the vault has shown that a key of that name is there: `encrypt`
//! makes one where our policy allows that, and an engine of another kind would keep what it is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Vault, trouble};
use crate::Secret;
use crate::document::SecretText;
use crate::https::{Answer, Request};
use crate::transit::{TransitKey, TransitWhy, TransitWrapped};
use crate::unresolved::Why;

/// What no key ever wrapped: to find out whether one is there without saying anything.
const NONSENSE: &str = "vault:v1:AAAA";
/// Room for a request, so that what is secret in it is never moved, in bytes.
const ROOM: usize = 1024;

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Answered<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: SecretText,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl Vault {
    /// Whether there is such a key, of a kind that we can use, and we may unwrap with it. Nothing is wrapped or unwrapped.
    pub async fn find(&self, key: &TransitKey) -> Result<(), TransitWhy> {
        let bound = STANDARD.encode(b"nothing");
        let answer = self.transit(key, "decrypt", &Decrypt { ciphertext: NONSENSE, associated_data: &bound }).await?;
        match refusal(&answer) {
            None => Err(TransitWhy::Unusable("what is mounted there is no transit engine".to_owned())),
            Some(why @ (TransitWhy::Missing(_) | TransitWhy::Denied(_) | TransitWhy::Away(_))) => Err(why),
            Some(why @ TransitWhy::Unusable(_)) if answer.status != 400 || is_of_other_kind(&answer) => Err(why),
            Some(_) => Ok(()),
        }
    }

    /// Wraps a secret, bound to a place.
    pub async fn wrap(&self, key: &TransitKey, secret: &[u8], bound: &[u8]) -> Result<TransitWrapped, TransitWhy> {
        let (plaintext, bound) = (Secret::new(STANDARD.encode(secret)), STANDARD.encode(bound));
        let request = Encrypt { plaintext: plaintext.expose(), associated_data: &bound };
        let answer = self.transit(key, "encrypt", &request).await?;
        if let Some(why) = refusal(&answer) {
            return Err(why);
        }
        let encrypted: Answered<Encrypted> = answer.json().map_err(TransitWhy::Away)?;
        TransitWrapped::parse(&encrypted.data.ciphertext).ok_or_else(nonsensical)
    }

    /// Unwraps what was wrapped for the same place.
    pub async fn unwrap(
        &self,
        key: &TransitKey,
        wrapped: &TransitWrapped,
        bound: &[u8],
    ) -> Result<Secret<Vec<u8>>, TransitWhy> {
        let bound = STANDARD.encode(bound);
        let request = Decrypt { ciphertext: &wrapped.ciphertext, associated_data: &bound };
        let answer = self.transit(key, "decrypt", &request).await?;
        match refusal(&answer) {
            Some(TransitWhy::TooOld(_)) => return Err(TransitWhy::TooOld(wrapped.version)),
            Some(why) => return Err(why),
            None => {}
        }
        let decrypted: Answered<Decrypted> = answer.json().map_err(TransitWhy::Away)?;
        let SecretText(plaintext) = decrypted.data.plaintext;
        STANDARD.decode(plaintext.expose()).map(Secret::new).map_err(|_| nonsensical())
    }

    async fn transit(&self, key: &TransitKey, operation: &str, body: &impl Serialize) -> Result<Answer, TransitWhy> {
        let asked = async {
            let url = self.door.url(&key.path(operation))?;
            let mut written = Vec::with_capacity(ROOM);
            serde_json::to_writer(&mut written, body).map_err(|error| Why::Unusable(error.to_string()))?;
            let body = Secret::new(written);
            self.ask_as_ourselves(|| Request::json("POST", &url, body.clone())).await
        };
        asked.await.map_err(|why| match why {
            Why::Denied(why) => TransitWhy::Denied(why),
            why => TransitWhy::Away(why),
        })
    }
}

fn nonsensical() -> TransitWhy {
    TransitWhy::Away(Why::Unreachable("an answer that makes no sense".to_owned()))
}

/// What the vault says besides its status. It names our key at most.
fn said(answer: &Answer) -> String {
    serde_json::from_slice::<Refusal>(answer.body.expose()).unwrap_or_default().errors.join("; ")
}

/// Whether the key is there, and of a kind that we cannot use.
fn is_of_other_kind(answer: &Answer) -> bool {
    let said = said(answer);
    said.contains("non-AEAD") || said.contains("'context'")
}

/// Why it was refused; nothing where it was not. A vault has one status for many reasons, so its words decide.
fn refusal(answer: &Answer) -> Option<TransitWhy> {
    let unusable = |why: &str| TransitWhy::Unusable(why.to_owned());
    Some(match answer.status {
        200..=299 => return None,
        403 => TransitWhy::Denied("by the policy of our token".to_owned()),
        404 => TransitWhy::Missing("no transit engine is mounted there"),
        400 => {
            let said = said(answer);
            let says = |part: &str| said.contains(part);
            if says("key not found") {
                TransitWhy::Missing("the engine has no such key")
            } else if says("too old") {
                TransitWhy::TooOld(0)
            } else if says("too new") {
                unusable("it has no such version: it was made anew, or restored from before its last rotation")
            } else if says("authentication failed") || says("invalid ciphertext") {
                TransitWhy::Refused
            } else if says("non-AEAD") {
                unusable("a key of its type cannot bind what it wraps to a place, make one of type aes256-gcm96")
            } else if says("'context'") {
                unusable("it derives a key for each use, make one that does not")
            } else {
                unusable("the vault answers with status 400")
            }
        }
        405 => unusable("what is mounted there is no transit engine"),
        _ => match trouble(answer) {
            Why::Unusable(why) => TransitWhy::Unusable(why),
            why => TransitWhy::Away(why),
        },
    })
}
