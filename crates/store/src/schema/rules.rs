//! The six rules of a collection: their texts, and what they say once parsed and checked.

use fastcms_expr::{Checked, Place, RuleKind};
use serde::{Deserialize, Serialize};

use super::{Collection, Offer, Schema};

/// All six, in the order in which they are written.
pub const RULE_KINDS: [RuleKind; 6] =
    [RuleKind::List, RuleKind::View, RuleKind::Create, RuleKind::Update, RuleKind::Delete, RuleKind::Manage];

/// The member of a collection's JSON that holds a rule.
pub fn rule_key(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::List => "list_rule",
        RuleKind::View => "view_rule",
        RuleKind::Create => "create_rule",
        RuleKind::Update => "update_rule",
        RuleKind::Delete => "delete_rule",
        RuleKind::Manage => "manage_rule",
    }
}

/// The rules as written: none for admins only, empty for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTexts {
    pub list_rule: Option<String>,
    pub view_rule: Option<String>,
    pub create_rule: Option<String>,
    pub update_rule: Option<String>,
    pub delete_rule: Option<String>,
    pub manage_rule: Option<String>,
}

impl RuleTexts {
    pub fn get(&self, kind: RuleKind) -> Option<&str> {
        match kind {
            RuleKind::List => self.list_rule.as_deref(),
            RuleKind::View => self.view_rule.as_deref(),
            RuleKind::Create => self.create_rule.as_deref(),
            RuleKind::Update => self.update_rule.as_deref(),
            RuleKind::Delete => self.delete_rule.as_deref(),
            RuleKind::Manage => self.manage_rule.as_deref(),
        }
    }

    pub fn set(&mut self, kind: RuleKind, text: Option<String>) {
        *match kind {
            RuleKind::List => &mut self.list_rule,
            RuleKind::View => &mut self.view_rule,
            RuleKind::Create => &mut self.create_rule,
            RuleKind::Update => &mut self.update_rule,
            RuleKind::Delete => &mut self.delete_rule,
            RuleKind::Manage => &mut self.manage_rule,
        } = text;
    }
}

/// What a rule says.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Admins only: no rule, or one that no longer holds together.
    Admins,
    /// Everybody, signed in or not.
    Everyone,
    /// Whoever the expression admits.
    When(Box<Checked>),
}

/// A rule that does not parse or names what is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    /// Id of the collection.
    pub collection: String,
    /// `list_rule`, say.
    pub key: &'static str,
    /// Offset of the fault in characters, the first being 0.
    pub position: usize,
    pub reason: String,
}

/// The rules of one collection.
#[derive(Debug, Clone)]
pub struct Rules([Rule; 6]);

impl Rules {
    /// No rule lets anyone but admins in.
    pub(super) fn closed() -> Self {
        Self([const { Rule::Admins }; 6])
    }

    /// Parses and checks the rules of a collection; a rule with a fault is noted in `broken` and admits admins only.
    pub(super) fn check(schema: &Schema, collection: &Collection, broken: &mut Vec<BrokenRule>) -> Self {
        let texts = &collection.definition().rules;
        Self(RULE_KINDS.map(|kind| match texts.get(kind) {
            None => Rule::Admins,
            Some("") => Rule::Everyone,
            Some(text) => match check(text, schema, collection, kind) {
                Ok(checked) => Rule::When(Box::new(checked)),
                Err(fault) => {
                    broken.push(BrokenRule {
                        collection: collection.id().to_owned(),
                        key: rule_key(kind),
                        position: fault.position,
                        reason: fault.reason,
                    });
                    Rule::Admins
                }
            },
        }))
    }

    pub fn get(&self, kind: RuleKind) -> &Rule {
        &self.0[match kind {
            RuleKind::List => 0,
            RuleKind::View => 1,
            RuleKind::Create => 2,
            RuleKind::Update => 3,
            RuleKind::Delete => 4,
            RuleKind::Manage => 5,
        }]
    }
}

fn check(text: &str, schema: &Schema, collection: &Collection, kind: RuleKind) -> Result<Checked, fastcms_expr::Error> {
    let expression = fastcms_expr::parse(text)?;
    fastcms_expr::check(&expression, &Offer::to_rules(schema, collection), Place::Rule(kind))
}
