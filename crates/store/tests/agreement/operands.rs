//! The sides of a condition: stored ones by the names of the collection, others written out.

use fastcms_expr::{Kind, Schema as _};
use fastcms_store::schema::{Collection, Offer};

use crate::grammar::{Author, Place};
use crate::values;

const KINDS: [Kind; 5] = [Kind::Text, Kind::Number, Kind::Bool, Kind::Instant, Kind::Date];

/// A stored side.
pub struct Stored {
    pub text: String,
    /// It stands for several values.
    pub is_many: bool,
    /// Its list may be compared as a whole.
    pub is_whole: bool,
    /// It is one of the forms that make a bare word on the right a text.
    pub is_field: bool,
}

impl Author<'_> {
    pub fn kind(&mut self) -> Kind {
        self.chance.pick(&KINDS)
    }

    pub fn collection(&self, table: usize) -> &Collection {
        &self.world.tables[table].collection
    }

    pub fn offer(&self, table: usize) -> Offer<'_> {
        Offer::to_rules(&self.world.schema, self.collection(table))
    }

    /// A path that ends in a field of the kind: the names, whether it is a list, whether it crosses one on its way.
    pub fn path(&mut self, kind: Kind) -> Option<(Vec<String>, bool, bool)> {
        let mut table = self.table;
        let (mut path, mut crosses_many) = (Vec::new(), false);
        for _ in 0..self.chance.pick(&[0, 0, 0, 1, 1, 2, 3]) {
            let fields = self.collection(table).fields();
            let relations: Vec<_> = fields.iter().filter(|field| field.relation.is_some()).cloned().collect();
            if relations.is_empty() {
                return None;
            }
            let relation = self.chance.pick(&relations);
            crosses_many |= relation.is_many();
            let target = self.world.schema.target(&relation).unwrap();
            table = self.world.tables.iter().position(|table| table.collection.id() == target.id()).unwrap();
            path.push(relation.name.clone());
        }
        let offer = self.offer(table);
        let names: Vec<_> =
            offer.field_names().into_iter().filter(|name| offer.field(name).unwrap().kind == kind).collect();
        if names.is_empty() {
            return None;
        }
        let name = self.chance.pick(&names);
        let is_list = self.offer(table).field(&name).unwrap().list;
        path.push(name);
        Some((path, is_list, crosses_many))
    }

    /// A stored side of the kind. On the right of a filter's field it says `@record.`.
    pub fn stored(&mut self, kind: Kind, is_after_field: bool) -> Option<Stored> {
        if kind == Kind::Number && self.chance.one_in(4) {
            return self.counted(is_after_field);
        }
        if kind == Kind::Number && self.chance.one_in(8) {
            return self.distance().map(|text| Stored { text, is_many: false, is_whole: false, is_field: true });
        }
        let (path, is_list, crosses_many) = self.path(kind)?;
        let mut text = self.spelled(&path, is_after_field);
        let mut is_whole = is_list && !crosses_many;
        if kind == Kind::Text && self.chance.one_in(5) {
            text.push_str(self.chance.pick(&[":lower", ":upper"]));
            is_whole = false;
        }
        Some(Stored { text, is_many: is_list || crosses_many, is_whole, is_field: true })
    }

    pub fn spelled(&mut self, path: &[String], is_after_field: bool) -> String {
        let must_say = is_after_field && self.place == Place::Filter;
        let record = if must_say || self.chance.one_in(5) { "@record." } else { "" };
        format!("{record}{}", path.join("."))
    }

    pub fn counted(&mut self, is_after_field: bool) -> Option<Stored> {
        let (path, is_list, crosses_many) = self.path(Kind::Text)?;
        if is_list && crosses_many {
            return None;
        }
        let text = format!("{}:length", self.spelled(&path, is_after_field));
        Some(Stored { text, is_many: crosses_many, is_whole: false, is_field: true })
    }

    pub fn distance(&mut self) -> Option<String> {
        let (path, _, crosses_many) = self.path(Kind::Geo)?;
        if crosses_many {
            return None;
        }
        let (lat, lng) = values::point(self.chance);
        let field = self.spelled(&path, false);
        let unit = self.chance.pick(&["", ", \"km\"", ", \"mi\"", ", 'm'", ",km"]);
        Some(format!("geoDistance({field}, {lat:?},{lng:?}{unit})"))
    }

    /// A value that is not stored: a literal, a macro, a part of the request.
    pub fn value(&mut self, kind: Kind, bare_is_text: bool) -> String {
        if self.place != Place::Filter && self.chance.one_in(3) {
            return self.request(kind);
        }
        if matches!(kind, Kind::Instant | Kind::Date) && self.chance.one_in(3) {
            return values::moment(self.chance);
        }
        self.literal(kind, bare_is_text)
    }

    pub fn literal(&mut self, kind: Kind, bare_is_text: bool) -> String {
        let text = match kind {
            Kind::Number if self.chance.one_in(4) => return self.chance.below(5).to_string(),
            Kind::Number => return format!("{:?}", values::number(self.chance)),
            Kind::Bool => {
                return (self.chance.pick(&["true", "false", "True", "False"])).to_owned();
            }
            Kind::Instant => values::written_instant(self.chance),
            Kind::Date => values::date(self.chance),
            _ => self.text(),
        };
        let is_word = text.starts_with(char::is_alphabetic) && text.chars().all(char::is_alphanumeric);
        let is_bare = is_word && bare_is_text && !matches!(text.as_str(), "true" | "null");
        let is_day = text.len() == 10 && text.starts_with("20");
        if is_bare || (is_day && self.chance.one_in(2)) { text } else { self.quoted(&text) }
    }

    /// A text of the kind that is stored somewhere: free, an item, an id.
    pub fn text(&mut self) -> String {
        match self.chance.below(6) {
            0 | 1 => values::item(self.chance),
            2 => values::id(self.chance),
            _ => values::text(self.chance),
        }
    }

    pub fn quoted(&mut self, text: &str) -> String {
        let quote = self.chance.pick(&['"', '\'']);
        let mut written = String::from(quote);
        for character in text.chars() {
            if character == quote || character == '\\' {
                written.push('\\');
            }
            written.push(character);
        }
        written.push(quote);
        written
    }

    /// A part of the request that has this kind, or will be read as it.
    pub fn request(&mut self, kind: Kind) -> String {
        let name = match kind {
            Kind::Number => self.chance.pick(&["query.number", "query.text:length", "headers.X_Number"]),
            Kind::Bool => self.chance.pick(&["query.bool", "auth.verified"]),
            Kind::Instant => "query.instant",
            Kind::Date => "query.date",
            _ => self.chance.pick(&[
                "query.text",
                "query.text:upper",
                "query.missing",
                "auth.id",
                "auth.role",
                "auth.email",
                "auth.email:upper",
                "auth.collection",
                "method",
                "context",
                "headers.x-text:lower",
            ]),
        };
        if self.place == Place::UpdateRule && self.chance.one_in(2) {
            let fields = self.collection(self.table).fields();
            let offer = self.offer(self.table);
            let fits = |name: &str| offer.field(name).is_some_and(|field| field.kind == kind && !field.list);
            let names: Vec<_> = fields.iter().map(|field| field.name.clone()).filter(|name| fits(name)).collect();
            if !names.is_empty() {
                return format!("@request.data.{}", self.chance.pick(&names));
            }
        }
        format!("@request.{name}")
    }
}
