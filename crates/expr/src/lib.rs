//! The language of filters, access rules, sort keys and field lists.
//!
//! One way through: [`parse`] makes an [`Expression`], [`check`] resolves and types it against a [`Schema`]
//! for a [`Place`], [`Checked::bind`] replaces all that depends on the request and the clock by constants, and
//! the [`Predicate`] that remains speaks only of stored values. A predicate is compiled to SQL elsewhere or
//! evaluated here by [`Predicate::matches`]; both give the same answer.
//!
//! This crate does no I/O and knows neither SQL nor HTTP nor who the caller is.
//!
//! # Grammar (EBNF)
//!
//! ```text
//! expression = any ;
//! any        = all , { "||" , all } ;
//! all        = unary , { "&&" , unary } ;
//! unary      = [ "!" ] , "(" , any , ")" | condition ;
//! condition  = operand , [ operator , operand ] ;             a lone operand must be a yes/no one: it means `= true`
//! operator   = [ "?" ] , ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" ) ;
//! operand    = text | number | constant | list | macro | distance | name , [ ":" , modifier ] ;
//! name       = word                                           own field, `relation.field`; see "Bare words"
//!            | "@record." , path
//!            | "@request.auth." , ( "id" | "role" | "verified" | "email" | "collection" )
//!            | "@request.data." , path | "@request.query." , word | "@request.headers." , word
//!            | "@request.method" | "@request.context"
//!            | "@collection." , identifier , "." , identifier ;
//! modifier   = "lower" | "upper" | "length" | "isset" | "each" | "changed" ;
//! list       = "[" , [ item , { "," , item } ] , "]" ;
//! item       = text | number | constant | word ;
//! constant   = "true" | "True" | "false" | "False" | "null" | "none" | "None" ;
//! distance   = "geoDistance(" , name , "," , number , "," , number , [ "," , unit ] , ")" ;
//! unit       = '"km"' | '"mi"' | '"m"' ;
//! macro      = "@now" | "@today" | "@yesterday" | "@tomorrow" | "@todayStart" | "@todayEnd" | "@monthStart"
//!            | "@monthEnd" | "@yearStart" | "@yearEnd"
//!            | "@" , ( "second" | "minute" | "hour" | "day" | "week" | "month" | "year" ) , ( "+" | "-" ) , digits ;
//! text       = '"' , { character | escape } , '"' | "'" , { character | escape } , "'" ;
//! escape     = "\" , ( '"' | "'" | "\" ) ;
//! number     = [ "-" ] , digits , [ "." , digits ] , [ ( "e" | "E" ) , [ "+" | "-" ] , digits ] ;
//! word       = ( letter | "_" ) , { letter | digit | "_" | "-" | "." }
//!            | digit , { letter | digit | "_" | "-" | "." | ":" | "+" } ;   when it is no number: 2026-01-31, ids
//! ```
//!
//! `!` stands only before a parenthesis; `&&` binds tighter than `||`.
//!
//! # Meaning
//!
//! - **Two-valued.** `=` holds on null only for null and `!=` is its opposite; `<` `>` `<=` `>=` `~` are false with
//!   null; `!~` is the opposite of `~`. `!(n > 5)` therefore matches a null `n`.
//! - **Lists.** A list field, or a path that crosses a to-many relation, stands for its items, or for one null if
//!   there is none. A comparison holds if it holds for at least one item (`?` says the same aloud); with `:each` it
//!   must hold for every item. `!=` and `!~` hold if `=` and `~` hold for no item. `tags = ["a","b"]` compares the
//!   whole list in order; an empty list is null.
//! - **Lists on the right of `?`** stand for their items alone: `?= []` never holds.
//! - **`@collection.c.f`** stands for the values of that field that are not null.
//! - **Case.** `~`, `:lower` and `:upper` map each character by its own Unicode mapping ([`lower`], [`upper`]).
//!   Text is ordered by its UTF-8 bytes.
//! - **Time.** Date-times are compared as text in the storage form `YYYY-MM-DDTHH:MM:SS.mmmZ`; a literal is cut to
//!   the millisecond. Macros are UTC.
//! - **Bare words.** In a rule a bare word is always a field. In a filter it is a field on the left and text on the
//!   right, unless the left is itself a value (`5 < n`); `@record.f` is a field anywhere. A word that opens with a
//!   digit is always text.
//! - **Request data** is typed when bound. A value of a type the comparison cannot take, a list under an operator
//!   without `?` or `:each`, or an unreadable date is an [`EvaluationError`]: the caller denies, also under `!`.

mod bind;
mod check;
mod error;
mod fields;
#[cfg(test)]
mod fixture;
mod instant;
mod predicate;
mod request;
mod schema;
mod sort;
mod suggestion;
mod syntax;
mod value;

pub use check::{Checked, check};
pub use error::{Error, EvaluationError};
pub use fields::{FieldItem, FieldList, Transform, parse_fields};
pub use instant::{instant_text, normalise_date, normalise_instant};
pub use predicate::{Cell, Column, Modifier, Predicate, Quantifier, Row, Term, Test, Unit};
pub use request::{Auth, Context, Input, NoRequest, Request};
pub use schema::{Field, Place, RuleKind, Schema};
pub use sort::{SortKey, parse_sort};
pub use syntax::{Expression, parse};
pub use value::{Comparison, EARTH_RADIUS_KM, Kind, Value, distance_km, lower, upper};

/// Most characters of one expression, sort or field list.
pub const MAX_LENGTH: usize = 4096;
/// Most levels of parentheses in one expression.
pub const MAX_DEPTH: usize = 64;
/// Most conditions in one expression.
pub const MAX_CONDITIONS: usize = 100;
/// Most names in one path through relations: three relations and the field.
pub const MAX_PATH: usize = 4;
/// Most items of a request list that is compared with stored values.
pub const MAX_LIST_ITEMS: usize = 1000;
/// Most items of a request list that has to be written out as one test an item (`:each`, a list searched in).
pub const MAX_EXPANDED_ITEMS: usize = 100;
/// Most pairs of items compared when two lists of the request meet.
pub const MAX_PAIRS: usize = 10_000;
/// Most values `@collection.c.f` may stand for; past it the whole expression denies.
pub const MAX_COLLECTION_VALUES: usize = 1000;
/// Furthest a relative macro reaches from now, in years of 366 days.
pub const MAX_MACRO_YEARS: i64 = 1000;
/// Most keys of a sort.
pub const MAX_SORT_KEYS: usize = 5;
/// Most names in a field list, as many as a schema has fields.
pub const MAX_FIELD_ITEMS: usize = 200;
/// Most characters an excerpt keeps.
pub const MAX_EXCERPT: usize = 10_000;
/// Most characters of an excerpt's suffix.
pub const MAX_EXCERPT_SUFFIX: usize = 100;
