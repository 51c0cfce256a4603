//! The id of a request: in `X-Request-Id`, in the log and in audit records.

use std::time::SystemTime;

use hyper::header::HeaderValue;

use crate::environment::Environment;

/// A ULID: sorts by time, and nobody can guess the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; ulid::ULID_LEN]);

impl RequestId {
    /// A new id.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let since = environment.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let mut chance = [0; 16];
        environment.entropy.fill(&mut chance);
        let milliseconds = since.map_or(0, |since| since.as_millis());
        Self::from_parts(
            u64::try_from(milliseconds).unwrap_or(u64::MAX),
            u128::from_le_bytes(chance),
        )
    }

    /// The id of a time in milliseconds since 1970 and of chance.
    #[must_use]
    pub fn from_parts(milliseconds: u64, chance: u128) -> Self {
        let mut text = [0; ulid::ULID_LEN];
        ulid::Ulid::from_parts(milliseconds, chance).array_to_str(&mut text);
        Self(text)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base 32 is ASCII")
    }

    /// The id as the value of a header.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("base 32 is ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_time() {
        assert_eq!(RequestId::from_parts(0, 0).as_str(), "00000000000000000000000000");
        let (earlier, later) = (RequestId::from_parts(1, u128::MAX), RequestId::from_parts(2, 0));
        assert!(earlier.as_str() < later.as_str());
        assert_eq!(later.header_value(), later.as_str());
    }

    #[test]
    fn two_requests_have_two_ids() {
        let environment = Environment::system();
        assert_ne!(RequestId::new(&environment), RequestId::new(&environment));
    }
}
