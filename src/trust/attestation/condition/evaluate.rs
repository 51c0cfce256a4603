//! What a condition gives for one attestation.
//!
//! Errors are answers, as in the language: `false && x` is false whatever is wrong with `x`, and
//! likewise `true || x`, `all` and `exists`; everywhere else an error is the result. Costs are counted
//! as they arise ([`Fuel`]), so that no document and no condition can hold a judgement up.

use std::{
    rc::Rc,
    time::{Duration, SystemTime},
};

use super::{
    Limited, Scope,
    term::{Arithmetic, Comparison, Conversion, Each, EachKind, Literal, Search, Term, Variable},
    value::{Fuel, Value},
};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It would cost too much to find out.
    Limited,
    /// In words.
    Wrong(String),
}

impl From<Limited> for Stop {
    fn from(Limited: Limited) -> Self {
        Self::Limited
    }
}

type Result<T> = std::result::Result<T, Stop>;

/// An evaluation.
#[derive(Debug)]
pub(super) struct Machine<'v> {
    scope: Scope<'v>,
    locals: Vec<Value<'v>>,
    fuel: Fuel,
    /// In how many nanoseconds the first comparison with `now` ends otherwise.
    change: Option<i128>,
}

impl<'v> Machine<'v> {
    pub(super) const fn new(scope: Scope<'v>) -> Self {
        Self { scope, locals: Vec::new(), fuel: Fuel::full(), change: None }
    }

    /// Until when everything that was evaluated gives the same; `None` for ever.
    pub(super) fn until(&self) -> Option<SystemTime> {
        let nanoseconds = u64::try_from(self.change?).ok()?;
        self.scope.now.checked_add(Duration::from_nanos(nanoseconds))
    }

    /// Whether `term` holds.
    pub(super) fn truth(&mut self, term: &'v Term) -> Result<bool> {
        match self.value(term)? {
            Value::Bool(value) => Ok(value),
            other => wrong(format!("gives {} where true or false is needed", other.kind())),
        }
    }

    /// The value of `term`.
    pub(super) fn value(&mut self, term: &'v Term) -> Result<Value<'v>> {
        self.fuel.spend(1)?;
        Ok(match term {
            Term::And(parts) => Value::Bool(self.either(parts, false)?),
            Term::Arithmetic(operation, parts) => {
                let (one, two) = self.both(parts)?;
                arithmetic(*operation, &one, &two)?
            }
            Term::Choose(parts) => {
                let [condition, one, other] = &**parts;
                let chosen = if self.truth(condition)? { one } else { other };
                self.value(chosen)?
            }
            Term::Compare(comparison, parts) => Value::Bool(self.compare(*comparison, parts)?),
            Term::Convert(conversion, of) => convert(*conversion, &self.value(of)?)?,
            Term::Each(each) => self.each(each)?,
            Term::Has(of, name) => {
                let of = self.value(of)?;
                Value::Bool(of.member(name, &mut self.fuel)?.is_some())
            }
            Term::Index(parts) => self.index(parts)?,
            Term::List(entries) => {
                let entries = entries.iter().map(|entry| self.value(entry));
                Value::Made(entries.collect::<Result<Rc<[_]>>>()?)
            }
            Term::Literal(literal) => literal_value(literal),
            Term::Local(at) => self.locals[*at].clone(),
            Term::Matches(of, pattern) => {
                let text = self.text(of)?;
                self.fuel.spend(text.len() * (1 + pattern.as_str().len() / 8))?;
                Value::Bool(pattern.is_match(text))
            }
            Term::Negate(of) => negated(&self.value(of)?)?,
            Term::Not(of) => Value::Bool(!self.truth(of)?),
            Term::Or(parts) => Value::Bool(self.either(parts, true)?),
            Term::Search(search, parts) => {
                let (text, part) = (self.text(&parts[0])?, self.text(&parts[1])?);
                self.fuel.spend(text.len() + part.len())?;
                Value::Bool(match search {
                    Search::Anywhere => text.contains(part),
                    Search::AtEnd => text.ends_with(part),
                    Search::AtStart => text.starts_with(part),
                })
            }
            Term::Select(of, name, path) => self.select(of, name, path)?,
            Term::Size(of) => self.size(of)?,
            Term::Variable(variable) => match variable {
                Variable::Image => Value::of(self.scope.image),
                Variable::Now => Value::now(self.scope.now),
                Variable::Predicate => Value::of(self.scope.predicate),
                Variable::Subject => Value::of(self.scope.subject),
            },
        })
    }

    fn both(&mut self, [one, two]: &'v [Term; 2]) -> Result<(Value<'v>, Value<'v>)> {
        Ok((self.value(one)?, self.value(two)?))
    }

    fn text(&mut self, term: &'v Term) -> Result<&'v str> {
        match self.value(term)? {
            Value::Text(text) => Ok(text),
            other => wrong(format!("has {} where a text is needed", other.kind())),
        }
    }

    /// `&&` and `||`: either side may decide alone, by being `decisive`.
    fn either(&mut self, [one, two]: &'v [Term; 2], decisive: bool) -> Result<bool> {
        let one = self.truth(one);
        if matches!(one, Err(Stop::Limited)) || one == Ok(decisive) {
            return one;
        }
        match self.truth(two) {
            Ok(two) if two == decisive => Ok(decisive),
            Err(Stop::Limited) => Err(Stop::Limited),
            two => one.and(two),
        }
    }

    fn compare(&mut self, comparison: Comparison, parts: &'v [Term; 2]) -> Result<bool> {
        let (one, two) = self.both(parts)?;
        if let (Value::Time(one), Value::Time(two)) | (Value::Duration(one), Value::Duration(two)) =
            (&one, &two)
            && let Some(meeting) = one.meets(*two)
        {
            self.change = Some(self.change.map_or(meeting, |change| change.min(meeting)));
        }
        match comparison {
            Comparison::Equal => return Ok(one.equals(&two, &mut self.fuel)?),
            Comparison::Unequal => return Ok(!one.equals(&two, &mut self.fuel)?),
            Comparison::In => return self.is_in(&one, &two),
            _ => {}
        }
        if let (Value::Text(one), Value::Text(two)) = (&one, &two) {
            self.fuel.spend(one.len().min(two.len()))?;
        }
        let Some(order) = one.order(&two) else {
            return wrong(format!("compares {} with {}", one.kind(), two.kind()));
        };
        Ok(match comparison {
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Less => order.is_lt(),
            _ => order.is_le(),
        })
    }

    fn is_in(&mut self, entry: &Value<'v>, list: &Value<'v>) -> Result<bool> {
        let Some(entries) = list.entries(&mut self.fuel)? else {
            return wrong(format!("looks for an entry in {}", list.kind()));
        };
        for other in entries {
            if other.equals(entry, &mut self.fuel)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn select(&mut self, of: &'v Term, name: &str, path: &str) -> Result<Value<'v>> {
        let of = self.value(of)?;
        match of.member(name, &mut self.fuel)? {
            Some(value) => Ok(value),
            None => wrong(format!("`{path}` is missing")),
        }
    }

    fn index(&mut self, parts: &'v [Term; 2]) -> Result<Value<'v>> {
        let (of, at) = self.both(parts)?;
        let entry = match (&of, &at) {
            (Value::Map(_), Value::Text(name)) => of.member(name, &mut self.fuel)?,
            (Value::List(entries), Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| entries.get(at)).map(Value::of)
            }
            (Value::Made(entries), Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| entries.get(at)).cloned()
            }
            _ => return wrong(format!("has no entries to take {} from", at.kind())),
        };
        match entry {
            Some(entry) => Ok(entry),
            None => wrong(format!("the entry `{}` is missing", at.shown().unwrap_or_default())),
        }
    }

    fn size(&mut self, of: &'v Term) -> Result<Value<'v>> {
        let of = self.value(of)?;
        if let Value::Text(text) = of {
            self.fuel.spend(text.len())?;
        }
        match of.size().map(i64::try_from) {
            Some(Ok(size)) => Ok(Value::Int(size)),
            _ => wrong(format!("asks for the size of {}", of.kind())),
        }
    }

    fn each(&mut self, each: &'v Each) -> Result<Value<'v>> {
        let over = self.value(&each.over)?;
        let Some(entries) = over.entries(&mut self.fuel)? else {
            return wrong(format!("goes through {} as if it were a list", over.kind()));
        };
        match each.kind {
            EachKind::All => self.any(each, entries, false).map(Value::Bool),
            EachKind::Exists => self.any(each, entries, true).map(Value::Bool),
            EachKind::ExistsOne => {
                let kept = self.keep(each, entries)?;
                Ok(Value::Bool(kept.len() == 1))
            }
            EachKind::Filter => Ok(Value::Made(self.keep(each, entries)?.into())),
            EachKind::Map => {
                let body = &each.body;
                let mapped = entries
                    .into_iter()
                    .map(|entry| self.with(entry, |machine| machine.value(body)));
                Ok(Value::Made(mapped.collect::<Result<Rc<[_]>>>()?))
            }
        }
    }

    /// `exists` and `all`: an entry may decide alone, by being `decisive`, whatever is wrong with others.
    fn any(&mut self, each: &'v Each, entries: Vec<Value<'v>>, decisive: bool) -> Result<bool> {
        let mut end = Ok(!decisive);
        for entry in entries {
            match self.with(entry, |machine| machine.truth(&each.body)) {
                Ok(truth) if truth == decisive => return Ok(decisive),
                Err(Stop::Limited) => return Err(Stop::Limited),
                truth => end = end.and(truth),
            }
        }
        end
    }

    fn keep(&mut self, each: &'v Each, entries: Vec<Value<'v>>) -> Result<Vec<Value<'v>>> {
        let mut kept = Vec::new();
        for entry in entries {
            if self.with(entry.clone(), |machine| machine.truth(&each.body))? {
                kept.push(entry);
            }
        }
        Ok(kept)
    }

    fn with<T>(&mut self, entry: Value<'v>, run: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(entry);
        let result = run(self);
        self.locals.pop();
        result
    }
}

fn wrong<T>(what: String) -> Result<T> {
    Err(Stop::Wrong(what))
}

fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Null => Value::Null,
        Literal::Text(text) => Value::Text(text),
    }
}

fn negated<'v>(of: &Value<'_>) -> Result<Value<'v>> {
    match of {
        Value::Int(value) if *value != i64::MIN => Ok(Value::Int(-value)),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => wrong(format!("has {} where a number is needed", of.kind())),
    }
}

fn arithmetic<'v>(operation: Arithmetic, one: &Value<'_>, two: &Value<'_>) -> Result<Value<'v>> {
    let value = match (one, two) {
        (Value::Int(one), Value::Int(two)) => match operation {
            Arithmetic::Add => one.checked_add(*two),
            Arithmetic::Divide => one.checked_div(*two),
            Arithmetic::Multiply => one.checked_mul(*two),
            Arithmetic::Remainder => one.checked_rem(*two),
            Arithmetic::Subtract => one.checked_sub(*two),
        }
        .map(Value::Int),
        (Value::Double(one), Value::Double(two)) => match operation {
            Arithmetic::Add => Some(one + two),
            Arithmetic::Divide => Some(one / two),
            Arithmetic::Multiply => Some(one * two),
            Arithmetic::Remainder => None,
            Arithmetic::Subtract => Some(one - two),
        }
        .map(Value::Double),
        (Value::Time(time), Value::Duration(duration)) => match operation {
            Arithmetic::Add => time.plus(*duration).map(Value::Time),
            Arithmetic::Subtract => time.minus(*duration).map(Value::Time),
            _ => None,
        },
        (Value::Time(one), Value::Time(two)) => match operation {
            Arithmetic::Subtract => one.minus(*two).map(Value::Duration),
            _ => None,
        },
        (Value::Duration(one), Value::Duration(two)) => match operation {
            Arithmetic::Add => one.plus(*two).map(Value::Duration),
            Arithmetic::Subtract => one.minus(*two).map(Value::Duration),
            _ => None,
        },
        _ => None,
    };
    match value {
        Some(value) => Ok(value),
        None => wrong(format!("cannot calculate with {} and {}", one.kind(), two.kind())),
    }
}

fn convert<'v>(conversion: Conversion, of: &Value<'_>) -> Result<Value<'v>> {
    #[expect(clippy::cast_precision_loss, reason = "a double has no more precision to offer")]
    let value = match (conversion, of) {
        (Conversion::Double, Value::Double(value)) => Some(Value::Double(*value)),
        (Conversion::Double, Value::Int(value)) => Some(Value::Double(*value as f64)),
        (Conversion::Double, Value::Text(text)) => text.parse().ok().map(Value::Double),
        (Conversion::Duration, Value::Text(text)) => Value::duration(text),
        (Conversion::Int, Value::Int(value)) => Some(Value::Int(*value)),
        (Conversion::Int, Value::Text(text)) => text.parse().ok().map(Value::Int),
        (Conversion::Timestamp, Value::Text(text)) => Value::time(text),
        _ => None,
    };
    match value {
        Some(value) => Ok(value),
        None => {
            let into = match conversion {
                Conversion::Double | Conversion::Int => "number",
                Conversion::Duration => "duration",
                Conversion::Timestamp => "time",
            };
            let shown = of.shown().map(|shown| format!(" `{shown}`")).unwrap_or_default();
            wrong(format!("{}{shown} is no {into}", of.kind()))
        }
    }
}
