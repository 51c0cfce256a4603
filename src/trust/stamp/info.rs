//! What a timestamping authority says: these bytes existed at this time (RFC 3161, 2.4.2).

use std::time::{Duration, SystemTime};

use spki::der::Tag;

use crate::{
    timestamp::Timestamp,
    trust::{
        der::{Der, Value, around, instead, malformed},
        json::Malformed,
        keys::Hash,
    },
};

/// A `TSTInfo`, as far as anything follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    hash: Hash,
    imprint: Vec<u8>,
    pub(super) time: SystemTime,
    /// How far from `time` it may have been, where the authority says so.
    pub(super) accuracy: Option<Duration>,
}

impl Info {
    /// Reads the DER of a `TSTInfo`.
    ///
    /// # Errors
    /// When it is anything else, or has a critical extension.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Der::only(bytes, Tag::Sequence, WHAT)?.inside();
        if fields.take(Tag::Integer)?.small()? != VERSION {
            return Err(Malformed("it is not of version 1".to_owned()));
        }
        // Under which policy; a trust root names authorities, not policies.
        fields.take(Tag::ObjectIdentifier)?.oid()?;
        let mut imprint = fields.take(Tag::Sequence)?.inside();
        let hash = Hash::of_algorithm(imprint.take(Tag::Sequence)?.raw()).ok_or_else(|| {
            Malformed("it is over a hash that is not SHA-256, SHA-384 or SHA-512".to_owned())
        })?;
        let value = imprint.take(Tag::OctetString)?.content().to_vec();
        imprint.finish()?;
        fields.take(Tag::Integer)?;
        let time = read_time(&fields.take(Tag::GeneralizedTime)?)?;
        let accuracy = fields.take_if(Tag::Sequence)?.map(|accuracy| read_accuracy(&accuracy));
        // Whether times of this authority are in order, and the number and name that were asked for.
        fields.take_if(Tag::Boolean)?;
        fields.take_if(Tag::Integer)?;
        fields.take_if(around(0))?;
        if let Some(extensions) = fields.take_if(around(1))? {
            check_extensions(&mut extensions.inside())?;
        }
        fields.finish()?;
        Ok(Self { hash, imprint: value, time, accuracy: accuracy.transpose()? })
    }

    /// Whether it is about `content`.
    pub(super) fn is_about(&self, content: &[u8]) -> bool {
        self.hash.of(content) == self.imprint
    }
}

/// `20260131080000Z`, or with a fraction of the second, which X.509's times do not have.
fn read_time(value: &Value<'_>) -> Result<SystemTime, Malformed> {
    let text = std::str::from_utf8(value.content()).map_err(|_| malformed(WHAT))?;
    let part = |from: usize, to: usize| text.get(from..to).ok_or_else(|| malformed(WHAT));
    let (date, clock) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?));
    let rest = part(12, text.len())?;
    let ((year, month, day), (hour, minute)) = (date, clock);
    let spelled = format!("{year}-{month}-{day}T{hour}:{minute}:{rest}");
    // Local times, which end in an offset, are not DER.
    if !text.ends_with('Z') {
        return Err(malformed(WHAT));
    }
    spelled.parse().map(|Timestamp(time)| time).map_err(|_| malformed(WHAT))
}

fn read_accuracy(value: &Value<'_>) -> Result<Duration, Malformed> {
    let mut fields = value.inside();
    let seconds = fields.take_if(Tag::Integer)?.map(|seconds| seconds.small()).transpose()?;
    let thousandths =
        fields.take_if(instead(0))?.map(|value| below_thousand(&value)).transpose()?;
    let millionths = fields.take_if(instead(1))?.map(|value| below_thousand(&value)).transpose()?;
    fields.finish()?;
    Ok(Duration::from_secs(seconds.unwrap_or_default().into())
        + Duration::from_millis(thousandths.unwrap_or_default())
        + Duration::from_micros(millionths.unwrap_or_default()))
}

/// The content of an integer from 1 to 999, whose tag is another.
fn below_thousand(value: &Value<'_>) -> Result<u64, Malformed> {
    let number = match value.content() {
        [low] => u64::from(*low),
        [high, low] => u64::from(*high) << 8 | u64::from(*low),
        _ => 0,
    };
    if (1..1000).contains(&number) { Ok(number) } else { Err(malformed(WHAT)) }
}

/// None is known, so none may be critical.
fn check_extensions(extensions: &mut Der<'_>) -> Result<(), Malformed> {
    while !extensions.is_empty() {
        let mut extension = extensions.take(Tag::Sequence)?.inside();
        extension.take(Tag::ObjectIdentifier)?.oid()?;
        if extension.take_if(Tag::Boolean)?.is_some() {
            return Err(Malformed("it has a critical extension".to_owned()));
        }
        extension.take(Tag::OctetString)?;
        extension.finish()?;
    }
    Ok(())
}

const WHAT: &str = "what the authority says";
const VERSION: u32 = 1;
