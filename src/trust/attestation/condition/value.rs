//! The values of a condition: what a document says, borrowed from it, and what is computed from that.
//! Texts are never made, so no condition can grow them.
//!
//! A time or duration knows how it moves as time passes: `now` by one second a second, what is read
//! from the document not at all. So a comparison knows when it will end otherwise, and with it how long
//! an answer is good for.

use std::{cmp::Ordering, rc::Rc, time::SystemTime};

use super::Limited;
use crate::{timestamp::Timestamp, trust::json::Json};

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Bool(bool),
    Double(f64),
    Duration(Moving),
    Int(i64),
    /// A list of the document.
    List(&'v [Json]),
    /// A list that the condition makes.
    Made(Rc<[Self]>),
    Map(&'v [(String, Json)]),
    Null,
    Text(&'v str),
    /// Since 1970.
    Time(Moving),
}

/// Nanoseconds, and how many more of them there are after each one that passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving {
    pub(super) nanoseconds: i128,
    pub(super) speed: i128,
}

impl Moving {
    const fn still(nanoseconds: i128) -> Self {
        Self { nanoseconds, speed: 0 }
    }

    /// Both together.
    pub(super) const fn plus(self, other: Self) -> Option<Self> {
        match self.nanoseconds.checked_add(other.nanoseconds) {
            Some(nanoseconds) => Some(Self { nanoseconds, speed: self.speed + other.speed }),
            None => None,
        }
    }

    /// The way from `other` to this.
    pub(super) const fn minus(self, other: Self) -> Option<Self> {
        let negative = Self { nanoseconds: -other.nanoseconds, speed: -other.speed };
        self.plus(negative)
    }

    /// In how many nanoseconds a comparison with `other` ends otherwise; never when it has already.
    pub(super) fn meets(self, other: Self) -> Option<i128> {
        let (ahead, speed) = (other.nanoseconds - self.nanoseconds, self.speed - other.speed);
        let meeting = ahead.checked_div(speed)?;
        (meeting > 0 || ahead == 0).then_some(meeting)
    }
}

impl<'v> Value<'v> {
    /// What the document says.
    pub(super) fn of(json: &'v Json) -> Self {
        match json {
            Json::Bool(value) => Self::Bool(*value),
            Json::List(entries) => Self::List(entries),
            Json::Null => Self::Null,
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::Object(members) => Self::Map(members),
            Json::Text(text) => Self::Text(text),
        }
    }

    /// The point in time, as a value.
    pub(super) fn at(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::Time(Moving::still(since.as_nanos().cast_signed()))
    }

    /// The present, which moves.
    pub(super) fn now(time: SystemTime) -> Self {
        match Self::at(time) {
            Self::Time(now) => Self::Time(Moving { speed: 1, ..now }),
            other => other,
        }
    }

    /// The point in time that `text` writes as RFC 3339 does.
    pub(super) fn time(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|time| Self::at(time.0))
    }

    /// The length of time that `text` writes: `168h`, `1h30m`, `1.5s`.
    pub(super) fn duration(text: &str) -> Option<Self> {
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text),
        };
        let mut total = 0.0;
        while !rest.is_empty() {
            let unit = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
            let (number, from_unit) = rest.split_at(unit);
            let end = from_unit.find(|letter: char| !letter.is_ascii_alphabetic());
            let (unit, after) = from_unit.split_at(end.unwrap_or(from_unit.len()));
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number: f64 = number.parse().ok().filter(|_| is_number)?;
            total += number * factor;
            rest = after;
        }
        let fits = !text.is_empty() && text != "-" && total < MOST_NANOSECONDS;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and bounded")]
        fits.then(|| Self::Duration(Moving::still((sign * total).round() as i128)))
    }

    /// What kind of value it is, for people.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Double(_) | Self::Int(_) => "a number",
            Self::Duration(_) => "a duration",
            Self::List(_) | Self::Made(_) => "a list",
            Self::Map(_) => "an object",
            Self::Null => "null",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
        }
    }

    /// The value for people, if it is a short one.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Double(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Null => Some("null".to_owned()),
            Self::Text(text) => {
                Some(text.chars().filter(|letter| !letter.is_control()).take(MOST_SHOWN).collect())
            }
            Self::Duration(_) | Self::List(_) | Self::Made(_) | Self::Map(_) | Self::Time(_) => {
                None
            }
        }
    }

    /// The entries of a list, or the names of an object's members, as the language has it.
    pub(super) fn entries(&self, fuel: &mut Fuel) -> Result<Option<Vec<Self>>, Limited> {
        Ok(match self {
            Self::List(entries) => {
                fuel.spend(entries.len())?;
                Some(entries.iter().map(Self::of).collect())
            }
            Self::Made(entries) => {
                fuel.spend(entries.len())?;
                Some(entries.to_vec())
            }
            Self::Map(members) => {
                fuel.spend(members.len())?;
                Some(members.iter().map(|(name, _)| Self::Text(name)).collect())
            }
            _ => None,
        })
    }

    /// The member `name` of an object.
    pub(super) fn member(&self, name: &str, fuel: &mut Fuel) -> Result<Option<Self>, Limited> {
        let Self::Map(members) = self else { return Ok(None) };
        fuel.spend(members.len())?;
        Ok(members.iter().find(|(member, _)| member == name).map(|(_, value)| Self::of(value)))
    }

    /// Whether two values are the same. Numbers are compared by what they mean; values of different
    /// kinds are never the same.
    pub(super) fn equals(&self, other: &Self, fuel: &mut Fuel) -> Result<bool, Limited> {
        fuel.spend(1)?;
        Ok(match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Null, Self::Null) => true,
            (Self::Text(one), Self::Text(two)) => {
                fuel.spend(one.len().min(two.len()))?;
                one == two
            }
            (Self::Map(one), Self::Map(two)) => {
                if one.len() != two.len() {
                    return Ok(false);
                }
                for (name, value) in *one {
                    let Some(counterpart) = other.member(name, fuel)? else { return Ok(false) };
                    if !Self::of(value).equals(&counterpart, fuel)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::List(_) | Self::Made(_), Self::List(_) | Self::Made(_)) => {
                if self.size() != other.size() {
                    return Ok(false);
                }
                let (one, two) = (self.entries(fuel)?, other.entries(fuel)?);
                for (one, two) in one.iter().flatten().zip(two.iter().flatten()) {
                    if !one.equals(two, fuel)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => self.order(other) == Some(Ordering::Equal),
        })
    }

    /// How many entries, members or characters it has.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::List(entries) => Some(entries.len()),
            Self::Made(entries) => Some(entries.len()),
            Self::Map(members) => Some(members.len()),
            Self::Text(text) => Some(text.chars().count()),
            _ => None,
        }
    }

    /// Which of two values is less, where one can be.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        #[expect(clippy::cast_precision_loss, reason = "a double has no more precision to offer")]
        match (self, other) {
            (Self::Int(one), Self::Int(two)) => Some(one.cmp(two)),
            (Self::Int(one), Self::Double(two)) => (*one as f64).partial_cmp(two),
            (Self::Double(one), Self::Int(two)) => one.partial_cmp(&(*two as f64)),
            (Self::Double(one), Self::Double(two)) => one.partial_cmp(two),
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::Time(one), Self::Time(two)) | (Self::Duration(one), Self::Duration(two)) => {
                Some(one.nanoseconds.cmp(&two.nanoseconds))
            }
            _ => None,
        }
    }
}

/// What an evaluation may still cost: about one unit for an operation, an entry, a member that is
/// looked at and a byte that is compared, searched or made.
#[derive(Debug)]
pub(super) struct Fuel(u64);

impl Fuel {
    pub(super) const fn full() -> Self {
        Self(MOST_FUEL)
    }

    /// Pays for `units`.
    pub(super) fn spend(&mut self, units: usize) -> Result<(), Limited> {
        self.0 = self.0.checked_sub(units as u64).ok_or(Limited)?;
        Ok(())
    }
}

/// A tenth of a second. A condition over each of 100,000 packages takes a fifth of it.
const MOST_FUEL: u64 = 10_000_000;
/// Units of a duration, in nanoseconds.
const UNITS: [(&str, f64); 6] =
    [("h", 3.6e12), ("m", 6e10), ("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)];
/// A few hundred thousand years: no sum of two can overflow.
const MOST_NANOSECONDS: f64 = 1e22;
/// Characters of a text that a person is shown.
const MOST_SHOWN: usize = 120;
