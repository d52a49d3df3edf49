//! One collection: what was written down of it, and what follows from that.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Field, FieldType, Index, MAX_KEY_BYTES, Pattern, RuleTexts, Rules, Storage};
use crate::{Dialect, Error, Name, Sql, Value};

/// Columns of every collection's table that no field may be named after.
pub const SYSTEM_COLUMNS: [&str; 3] = ["id", "created", "updated"];

/// What a collection is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectionKind {
    Base,
    /// Its records can sign in.
    Auth,
    /// Rows of a query.
    View,
}

impl CollectionKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Auth => "auth",
            Self::View => "view",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Base, Self::Auth, Self::View].into_iter().find(|kind| kind.name() == name)
    }
}

/// A collection as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub id: String,
    pub name: String,
    pub kind: CollectionKind,
    /// The fields its owner defined; the system fields of an auth collection are not among them.
    pub fields: Vec<Field>,
    pub options: Map<String, Json>,
    /// Those that an admin asked for; what unique fields and relations need for themselves is not among them.
    pub indexes: Vec<Index>,
    pub rules: RuleTexts,
    pub view_query: Option<String>,
    pub system: bool,
    /// Goes up by one with each change.
    pub version: i64,
    pub created: String,
    pub updated: String,
}

impl Definition {
    /// All fields of its records: the own ones, then the system fields of an auth collection. An own field of such a name gives the
    /// system field its label and hint.
    pub fn all_fields(&self) -> Vec<Field> {
        if self.kind != CollectionKind::Auth {
            return self.fields.clone();
        }
        let system = auth_fields().map(|field| match self.fields.iter().find(|own| own.name == field.name) {
            Some(own) => Field { label: own.label.clone(), hint: own.hint.clone(), ..field },
            None => field,
        });
        let own = self.fields.iter().filter(|own| !system.iter().any(|field| field.name == own.name)).cloned();
        let mut fields: Vec<_> = own.collect();
        fields.extend(system);
        fields
    }

    /// The name of its table: made from the id, so that a rename touches no table and no name is ever inherited.
    pub fn table(&self) -> Result<Name, Error> {
        let digits: String = self.id.chars().filter(char::is_ascii_alphanumeric).collect();
        Name::new(format!("t{digits}"))
            .map_err(|error| Error::internal(format!("the id of a collection names no table: {error}")))
    }
}

/// The system fields of an auth collection.
pub fn auth_fields() -> [Field; 5] {
    let system = |name: &str, kind| Field { system: true, ..Field::new(name, kind) };
    let mut email = system("email", FieldType::Email);
    email.validation.required = true;
    email.validation.unique = true;
    let mut password = system("password", FieldType::Text);
    password.validation.required = true;
    password.hidden = true;
    [
        email,
        password,
        system("verified", FieldType::Bool),
        system("email_visibility", FieldType::Bool),
        system("role", FieldType::Text),
    ]
}

/// A collection with what is needed to serve it.
#[derive(Debug, Clone)]
pub struct Collection {
    definition: Arc<Definition>,
    fields: Arc<[Field]>,
    columns: Arc<[Name]>,
    table: Name,
    positions: Arc<HashMap<String, usize>>,
    patterns: Arc<[Option<Pattern>]>,
    /// `"name":`, as a record's JSON has it.
    keys: Arc<[String]>,
    visible: Arc<[usize]>,
    byte_limits: Arc<[Option<usize>]>,
    has_sealed: bool,
    open_columns: Arc<Sql>,
    open_record: Arc<Sql>,
    rules: Rules,
}

impl Collection {
    pub(super) fn new(definition: Definition, dialect: Dialect) -> Result<Self, Error> {
        let fields: Arc<[Field]> = definition.all_fields().into();
        let columns = fields
            .iter()
            .map(|field| Name::new(field.name.as_str()))
            .collect::<Result<Arc<[Name]>, _>>()
            .map_err(|error| Error::internal(format!("a stored field has a bad name: {error}")))?;
        let patterns = fields
            .iter()
            .map(|field| field.validation.pattern.as_deref().map(Pattern::new).transpose())
            .collect::<Result<_, _>>()
            .map_err(|error| Error::internal(format!("a stored pattern is bad: {error}")))?;
        let visible: Arc<[usize]> = (0..fields.len()).filter(|at| !fields[*at].hidden).collect();
        let byte_limits = (0..fields.len()).map(|at| byte_limit(&fields, &definition.indexes, at)).collect();
        let fields_seal = fields.iter().any(|field| field.encrypted);
        let mut open_columns = Sql::new(dialect);
        open_columns.push("\"id\", \"created\", \"updated\"");
        for at in visible.iter() {
            open_columns.push(", ").ident(&columns[*at]);
        }
        let table = definition.table()?;
        let mut open_record = Sql::new(dialect);
        open_record.push("SELECT ").append(&open_columns).push(" FROM ").table(&table);
        open_record.push(" AS t0 WHERE t0.id = ").bind(Value::Null);
        Ok(Self {
            table,
            positions: Arc::new(fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect()),
            keys: fields.iter().map(|field| format!("{}:", Json::from(field.name.as_str()))).collect(),
            definition: Arc::new(definition),
            fields,
            columns,
            patterns,
            has_sealed: fields_seal,
            byte_limits,
            visible,
            open_columns: Arc::new(open_columns),
            open_record: Arc::new(open_record),
            rules: Rules::closed(),
        })
    }

    pub(super) fn with_rules(&self, rules: Rules) -> Self {
        Self { rules, ..self.clone() }
    }

    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    pub fn id(&self) -> &str {
        &self.definition.id
    }

    pub fn name(&self) -> &str {
        &self.definition.name
    }

    pub fn kind(&self) -> CollectionKind {
        self.definition.kind
    }

    pub fn is_auth(&self) -> bool {
        self.definition.kind == CollectionKind::Auth
    }

    pub fn version(&self) -> i64 {
        self.definition.version
    }

    /// The name of its table, as [`Sql::table`] wants it.
    pub fn table(&self) -> &Name {
        &self.table
    }

    /// All fields, the system ones of an auth collection last.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether a rule shows its records to somebody but admins: the names of others are for admins too.
    pub fn shows_itself(&self) -> bool {
        let is_open = |kind| !matches!(self.rules.get(kind), super::Rule::Admins);
        is_open(fastcms_expr::RuleKind::List) || is_open(fastcms_expr::RuleKind::View)
    }

    /// Where a field stands in [`Collection::fields`], exactly as spelled.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|at| &self.fields[at])
    }

    /// The column of a field.
    pub fn column(&self, at: usize) -> &Name {
        &self.columns[at]
    }

    pub fn storage(&self, at: usize) -> Storage {
        self.fields[at].storage()
    }

    pub fn pattern(&self, at: usize) -> Option<&Pattern> {
        self.patterns[at].as_ref()
    }

    /// How many bytes a text of a field may have because an index holds it; `None` when none does.
    pub fn byte_limit(&self, at: usize) -> Option<usize> {
        self.byte_limits[at]
    }

    /// Whether values of any field lie sealed.
    pub fn has_sealed(&self) -> bool {
        self.has_sealed
    }

    /// Positions of the fields whose values lie sealed.
    pub fn sealed(&self) -> impl Iterator<Item = usize> {
        self.fields.iter().enumerate().filter_map(|(at, field)| field.encrypted.then_some(at))
    }

    /// Positions of the fields that leave the server.
    pub fn visible(&self) -> &[usize] {
        &self.visible
    }

    /// The position of the field that says where the polymorphic relation at `at` points.
    pub fn polymorphic_type(&self, at: usize) -> Option<usize> {
        self.position(self.fields[at].polymorphic_type_field()?)
    }

    /// Whether a field is the password of an auth collection.
    pub fn is_password(&self, at: usize) -> bool {
        self.is_auth() && self.fields[at].system && self.fields[at].name == "password"
    }

    /// Whether a field is the e-mail address of an auth collection, shown to some only.
    pub fn is_account_email(&self, at: usize) -> bool {
        self.is_auth() && self.fields[at].system && self.fields[at].name == "email"
    }

    /// The key of a field with its colon, escaped.
    pub(crate) fn json_key(&self, at: usize) -> &str {
        &self.keys[at]
    }

    /// `"id", "created", "updated"` and the visible fields, without regard to who sees e-mail addresses.
    pub(crate) fn open_columns(&self) -> &Sql {
        &self.open_columns
    }

    /// The statement that reads these columns, as `t0`, of the record whose id is bound to it.
    pub(crate) fn open_record(&self, id: &str) -> Sql {
        let mut sql = Sql::clone(&self.open_record);
        sql.rebind([id.into()]);
        sql
    }
}

/// The strictest of what the indexes that hold a field ask of its texts.
fn byte_limit(fields: &[Field], indexes: &[Index], at: usize) -> Option<usize> {
    let field = &fields[at];
    if field.storage() != Storage::Text {
        return None;
    }
    let is_text = |name: &str| fields.iter().any(|field| field.name == name && field.storage() == Storage::Text);
    let shares = indexes.iter().filter(|index| index.has(&field.name)).map(|index| {
        let texts = index.fields.iter().filter(|member| is_text(&member.name)).count();
        index.share(texts)
    });
    shares.chain(field.validation.unique.then_some(MAX_KEY_BYTES)).min()
}
