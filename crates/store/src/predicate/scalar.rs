//! Single values in SQL, and how two of them compare.

use fastcms_expr::{Comparison, EARTH_RADIUS_KM, Modifier, Term, Unit, Value as Constant, lower};

use super::{Compiler, Place, Trust, bound};
use crate::schema::Collection;
use crate::{Dialect, Error, Name, Sql};

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Term(&'a Term),
    Constant(&'a Constant),
    /// The value `v` of the items under this alias.
    Item(usize),
}

impl<'a> Scalar<'a> {
    fn constant(self) -> Option<&'a Constant> {
        match self {
            Self::Constant(constant) | Self::Term(Term::Constant(constant)) => Some(constant),
            Self::Term(_) | Self::Item(_) => None,
        }
    }
}

impl Compiler<'_> {
    pub(super) fn compare(
        &mut self,
        sql: &mut Sql,
        place: Place<'_>,
        left: Scalar<'_>,
        comparison: Comparison,
        right: Scalar<'_>,
    ) -> Result<(), Error> {
        if comparison == Comparison::Contains {
            sql.pick("instr(", "strpos(");
            self.lowered(sql, place, left)?;
            sql.push(", ");
            self.lowered(sql, place, right)?;
            sql.push(") > 0");
            return Ok(());
        }
        self.scalar(sql, place, left)?;
        if comparison == Comparison::Equal && right.constant() == Some(&Constant::Null) {
            sql.push(" IS NULL");
            return Ok(());
        }
        match comparison {
            Comparison::Equal if right.constant().is_none() => sql.pick(" IS ", " IS NOT DISTINCT FROM "),
            Comparison::Equal => sql.push(" = "),
            Comparison::Less => sql.push(" < "),
            Comparison::LessOrEqual => sql.push(" <= "),
            Comparison::Greater => sql.push(" > "),
            Comparison::GreaterOrEqual | Comparison::Contains => sql.push(" >= "),
        };
        self.scalar(sql, place, right)
    }

    /// A text in lower case, as the language has it: character by character.
    fn lowered(&mut self, sql: &mut Sql, place: Place<'_>, side: Scalar<'_>) -> Result<(), Error> {
        if let Some(constant) = side.constant() {
            sql.bind_typed(match constant {
                Constant::Text(text) => lower(text).into(),
                other => bound(other),
            });
            return Ok(());
        }
        push_lower_head(sql);
        self.scalar(sql, place, side)?;
        push_lower_tail(sql);
        Ok(())
    }

    pub(super) fn scalar(&mut self, sql: &mut Sql, place: Place<'_>, side: Scalar<'_>) -> Result<(), Error> {
        match side {
            Scalar::Item(alias) => {
                sql.alias(alias).push(".v");
            }
            Scalar::Constant(constant) | Scalar::Term(Term::Constant(constant)) => {
                sql.bind_typed(bound(constant));
            }
            Scalar::Term(Term::Column(column)) => {
                push_modifier_head(sql, column.modifier, column.list);
                self.single(sql, place.home, place.alias, &column.path)?;
                push_modifier_tail(sql, column.modifier, column.list);
            }
            Scalar::Term(Term::Distance { column, lat, lng, unit }) => {
                let mut point = Sql::new(sql.dialect());
                self.single(&mut point, place.home, place.alias, &column.path)?;
                push_distance(sql, &point, *lat, *lng, *unit);
            }
            Scalar::Term(Term::List(_) | Term::Collection { .. }) => {
                return Err(Error::internal("a list stands where one value is wanted"));
            }
        }
        Ok(())
    }

    /// The value at the end of a path that crosses no relation to many. Each relation is a subquery that finds one row or none.
    pub(super) fn single(
        &mut self,
        sql: &mut Sql,
        home: &Collection,
        alias: usize,
        path: &[String],
    ) -> Result<(), Error> {
        let (first, rest) = path.split_first().ok_or_else(|| Error::internal("an empty path"))?;
        if rest.is_empty() {
            return self.column(sql, home, alias, first);
        }
        let target = self.target(home, first)?;
        let joined = self.alias();
        sql.push("(SELECT ");
        self.single(sql, target, joined, rest)?;
        sql.push(" FROM ").table(target.table()).push(" AS ").alias(joined);
        sql.push(" WHERE ").alias(joined).push(".id = ");
        self.column(sql, home, alias, first)?;
        self.gate(sql, target, joined)?;
        sql.push(")");
        Ok(())
    }

    /// ` AND …`: only rows that the caller may list, where a caller's words are being compiled.
    pub(super) fn gate(&mut self, sql: &mut Sql, target: &Collection, alias: usize) -> Result<(), Error> {
        let Trust::Query(sight) = self.trust else { return Ok(()) };
        if sight.follows_all {
            return Ok(());
        }
        match sight.rows.get(target.id()) {
            None => {
                sql.push(" AND FALSE");
            }
            Some(rows) => {
                sql.push(" AND (");
                self.trust = Trust::Rule;
                let done = self.guarded(sql, target, alias, rows);
                self.trust = Trust::Query(sight);
                done?;
                sql.push(")");
            }
        }
        Ok(())
    }

    /// A column of the row under `alias`; another's e-mail address only where its owner shows it.
    pub(super) fn column(&mut self, sql: &mut Sql, home: &Collection, alias: usize, name: &str) -> Result<(), Error> {
        let column = Name::new(name).map_err(|_| Error::internal("a path names no column"))?;
        let is_masked = home.position(name).is_some_and(|at| home.is_account_email(at));
        match self.trust {
            Trust::Query(sight) if is_masked && !sight.sees_all => {
                sql.push("(CASE WHEN ").alias(alias).push(".email_visibility");
                if let Some((_, id)) = sight.own.as_ref().filter(|(collection, _)| collection == home.id()) {
                    sql.push(" OR ").alias(alias).push(".id = ").bind(id);
                }
                sql.push(" THEN ").alias(alias).push(".email END)");
            }
            _ => {
                sql.alias(alias).push(".").ident(&column);
            }
        }
        Ok(())
    }
}

/// What stands before and after a text that is to be compared in lower case. `PostgreSQL`: the Unicode mapping of ICU, made free of
/// context by taking the one letter whose lower case depends on its neighbours (Σ) out of its hands.
fn push_lower_head(sql: &mut Sql) {
    sql.pick("fastcms_lower(", "(lower(translate(");
}

fn push_lower_tail(sql: &mut Sql) {
    sql.pick(")", ", 'Σ', 'σ') COLLATE \"und-x-icu\") COLLATE \"C\")");
}

/// Writes a text column in lower case, for searches.
pub fn push_lowered(sql: &mut Sql, write: impl FnOnce(&mut Sql)) {
    push_lower_head(sql);
    write(sql);
    push_lower_tail(sql);
}

pub(super) fn push_modifier_head(sql: &mut Sql, modifier: Option<Modifier>, list: bool) {
    match modifier {
        None => {}
        Some(Modifier::Lower) => push_lower_head(sql),
        Some(Modifier::Upper) => {
            sql.pick("fastcms_upper(", "(upper((");
        }
        Some(Modifier::Length) if list => {
            sql.pick("coalesce(json_array_length(", "coalesce(jsonb_array_length((");
        }
        Some(Modifier::Length) => {
            sql.pick("length(", "char_length(");
        }
    }
}

pub(super) fn push_modifier_tail(sql: &mut Sql, modifier: Option<Modifier>, list: bool) {
    match modifier {
        None => {}
        Some(Modifier::Lower) => push_lower_tail(sql),
        Some(Modifier::Upper) => {
            sql.pick(")", ") COLLATE \"und-x-icu\") COLLATE \"C\")");
        }
        Some(Modifier::Length) if list => {
            sql.pick("), 0)", ")::jsonb), 0)::double precision");
        }
        Some(Modifier::Length) => {
            sql.pick(")", ")::double precision");
        }
    }
}

/// The haversine formula of [`fastcms_expr::distance_km`] over a stored point; on `SQLite` it is that very function.
fn push_distance(sql: &mut Sql, point: &Sql, lat: f64, lng: f64, unit: Unit) {
    if sql.dialect() == Dialect::Sqlite {
        sql.push("(fastcms_distance(json_extract(").append(point).push(", '$.lat'), json_extract(").append(point);
        sql.push(", '$.lng'), ").bind(lat).push(", ").bind(lng).push(") * ").bind(unit.per_kilometre()).push(")");
        return;
    }
    // A row for a point, none without one: `least` takes a null for no argument, and the distance would be half the Earth's girth.
    sql.push("(SELECT ").bind_typed(2.0 * EARTH_RADIUS_KM * unit.per_kilometre());
    sql.push(" * asin(sqrt(least(1.0, power(sin(radians(").bind_typed(lat).push(" - stored.lat) / 2), 2) + ");
    sql.push("cos(radians(stored.lat)) * cos(radians(").bind_typed(lat).push(")) * ");
    sql.push("power(sin(radians(").bind_typed(lng).push(" - stored.lng) / 2), 2)))) FROM (SELECT ");
    sql.push("(json.point ->> 'lat')::double precision AS lat, (json.point ->> 'lng')::double precision AS lng FROM (SELECT (");
    sql.append(point).push(")::jsonb AS point) AS json) AS stored WHERE stored.lat IS NOT NULL)");
}
