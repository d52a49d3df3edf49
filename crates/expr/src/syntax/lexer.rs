//! Source text to tokens, in one pass.

use super::{At, Operator};
use crate::value::Comparison;
use crate::{Error, MAX_LENGTH};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Offset in characters.
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    And,
    Or,
    Not,
    Operator(Operator),
    Text(String),
    Number(f64),
    Word(String),
    /// A word after `@`, without it.
    At(String),
    /// A word after `:`, without it.
    Suffix(String),
    End,
}

impl TokenKind {
    /// How an error text names the token.
    pub(super) fn found(&self) -> String {
        match self {
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::OpenList => "`[`".to_owned(),
            Self::CloseList => "`]`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::And => "`&&`".to_owned(),
            Self::Or => "`||`".to_owned(),
            Self::Not => "`!`".to_owned(),
            Self::Operator(operator) => format!("`{operator}`"),
            Self::Text(_) => "a text".to_owned(),
            Self::Number(number) => format!("`{number:?}`"),
            Self::Word(word) => format!("`{word}`"),
            Self::At(word) => format!("`@{word}`"),
            Self::Suffix(word) => format!("`:{word}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// All tokens, the last being [`TokenKind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    if source.chars().nth(MAX_LENGTH).is_some() {
        return Err(Error::new(MAX_LENGTH, format!("an expression has at most {MAX_LENGTH} characters")));
    }
    let mut lexer = Lexer { characters: source.chars().collect(), next: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let end = token.kind == TokenKind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    characters: Vec<char>,
    next: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.next + ahead).copied()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let rest = self.characters.get(self.next..).unwrap_or_default();
        let word: String = rest.iter().copied().take_while(|c| accept(*c)).collect();
        self.next += word.chars().count();
        word
    }

    fn token(&mut self) -> Result<Token, Error> {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.next += 1;
        }
        let at = self.next;
        let Some(first) = self.peek(0) else {
            return Ok(Token { kind: TokenKind::End, at });
        };
        let kind = match first {
            '(' => self.one(TokenKind::Open),
            ')' => self.one(TokenKind::Close),
            '[' => self.one(TokenKind::OpenList),
            ']' => self.one(TokenKind::CloseList),
            ',' => self.one(TokenKind::Comma),
            '&' | '|' => self.connective(first)?,
            '!' | '=' | '<' | '>' | '~' | '?' => self.operator()?,
            '"' | '\'' => self.text(first)?,
            '@' => {
                self.next += 1;
                TokenKind::At(self.take_while(|c| is_word(c) || c == '+'))
            }
            ':' => {
                self.next += 1;
                TokenKind::Suffix(self.take_while(char::is_alphanumeric))
            }
            '-' => self.number()?,
            c if c.is_ascii_digit() => self.number()?,
            c if c.is_alphanumeric() || c == '_' => TokenKind::Word(self.take_while(is_word)),
            other => {
                return Err(Error::new(
                    at,
                    format!("found `{}`, which has no meaning outside quotes", other.escape_debug()),
                ));
            }
        };
        Ok(Token { kind, at })
    }

    fn one(&mut self, kind: TokenKind) -> TokenKind {
        self.next += 1;
        kind
    }

    fn connective(&mut self, first: char) -> Result<TokenKind, Error> {
        if self.peek(1) != Some(first) {
            return Err(Error::new(self.next, format!("found `{first}`, expected `{first}{first}`")));
        }
        self.next += 2;
        Ok(if first == '&' { TokenKind::And } else { TokenKind::Or })
    }

    fn operator(&mut self) -> Result<TokenKind, Error> {
        let at = self.next;
        let any = self.peek(0) == Some('?');
        let offset = usize::from(any);
        let (comparison, negated, length) = match (self.peek(offset), self.peek(offset + 1)) {
            (Some('='), Some('=')) => {
                return Err(Error::new(at, "found `==`, expected `=`"));
            }
            (Some('<'), Some('>')) => {
                return Err(Error::new(at, "found `<>`, expected `!=`"));
            }
            (Some('!'), Some('=')) => (Comparison::Equal, true, 2),
            (Some('!'), Some('~')) => (Comparison::Contains, true, 2),
            (Some('<'), Some('=')) => (Comparison::LessOrEqual, false, 2),
            (Some('>'), Some('=')) => (Comparison::GreaterOrEqual, false, 2),
            (Some('='), _) => (Comparison::Equal, false, 1),
            (Some('<'), _) => (Comparison::Less, false, 1),
            (Some('>'), _) => (Comparison::Greater, false, 1),
            (Some('~'), _) => (Comparison::Contains, false, 1),
            (Some('!'), _) if !any => return Ok(self.one(TokenKind::Not)),
            _ => {
                return Err(Error::new(at, "found `?`, expected it before an operator, as in `?=`"));
            }
        };
        self.next += offset + length;
        Ok(TokenKind::Operator(Operator { comparison, negated, any, at: At(at) }))
    }

    fn text(&mut self, quote: char) -> Result<TokenKind, Error> {
        let start = self.next;
        self.next += 1;
        let mut text = String::new();
        loop {
            let at = self.next;
            self.next += 1;
            match self.characters.get(at) {
                None => {
                    let reason = format!("this {quote} is not closed");
                    return Err(Error::new(start, reason));
                }
                Some('\\') => {
                    let Some(escaped @ ('"' | '\'' | '\\')) = self.characters.get(self.next) else {
                        let reason = r#"unknown escape; `\` stands only before `"`, `'` and `\`"#;
                        return Err(Error::new(at, reason));
                    };
                    text.push(*escaped);
                    self.next += 1;
                }
                Some('\0') => return Err(Error::new(at, "a text holds no NUL character")),
                Some(character) if *character == quote => return Ok(TokenKind::Text(text)),
                Some(character) => text.push(*character),
            }
        }
    }

    /// A number, or a word that opens with a digit: a date, an id.
    fn number(&mut self) -> Result<TokenKind, Error> {
        let at = self.next;
        let negative = self.peek(0) == Some('-');
        self.next += usize::from(negative);
        let word = self.take_while(|c| is_word(c) || matches!(c, ':' | '+'));
        if !is_number(&word) {
            return if negative {
                Err(Error::new(at, format!("`-{word}` is not a number")))
            } else {
                Ok(TokenKind::Word(word))
            };
        }
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(TokenKind::Number(if negative { -number } else { number })),
            _ => Err(Error::new(at, "this number is too large")),
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// `digits [ "." digits ] [ ("e"|"E") [ sign ] digits ]`, narrower than what `f64` reads.
fn is_number(word: &str) -> bool {
    fn digits(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    }
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (word, None),
    };
    let plain = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    plain && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
