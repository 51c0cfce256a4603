//! What is written down: the lines of the log.
//!
//! The members are a public contract: scripts read them. The verdict comes in as text and JSON
//! values, because records outlive the code that wrote them: a reader must be able to show a
//! decision whose words it no longer knows.

use std::{net::IpAddr, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oci::Digest;

/// One verdict on one manifest, written before the first byte of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// When it was decided.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// Its id, a ULID.
    pub decision: String,
    /// `admitted`, `denied` or `undecided`.
    pub outcome: String,
    /// Why, from the closed list of reasons.
    pub reason: String,
    /// The registry, by its canonical name.
    pub upstream: String,
    /// The repository there.
    pub repository: String,
    /// The tag or digest that was asked for.
    pub reference: String,
    /// What was judged; absent when the tag could not be resolved.
    pub digest: Option<Digest>,
    /// The rule that covers the repository.
    pub rule: Option<String>,
    /// `enforce`, `warn` or `audit`.
    pub mode: String,
    /// Whether a denial would have kept the manifest back.
    pub enforced: bool,
    /// The hash of the policy that was in force.
    pub policy: String,
    /// The hash of its trust material.
    pub trust: String,
    /// What was looked for and what was found.
    #[serde(default)]
    pub evidence: Vec<Value>,
    /// Who asked.
    pub client: ClientRecord,
    /// The id of the request, as in `X-Request-Id`.
    pub request: String,
    /// The sentence the client was told.
    #[serde(default)]
    pub message: String,
    /// What the reader can do about it.
    #[serde(default)]
    pub next_step: String,
    /// What satisfied or failed each part of the requirement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Value>,
}

/// Content that was sent under a decision, any number of times within a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRecord {
    /// When the first of them happened.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// The id of the decision that allowed it.
    pub decision: String,
    /// Who pulled.
    pub client: ClientRecord,
    /// What was sent.
    pub digest: Digest,
    /// How many pulls the line stands for.
    pub count: u64,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Where the connection came from.
    pub address: IpAddr,
    /// Who the client proved to be, once clients can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the client calls itself. Never trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The job that the client says it works for. Never trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "entries are read one at a time and never kept")]
pub enum Entry {
    /// A decision; the members `outcome` and `reason` tell it from a pull.
    Decision(Box<DecisionRecord>),
    /// A pull; it has a `count`.
    Pull(PullRecord),
}

impl Entry {
    /// The line, with its line break. JSON escapes line breaks inside, so there is exactly one.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("records have text keys only");
        line.push(b'\n');
        line
    }
}

/// `SystemTime` as RFC 3339.
mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::timestamp::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Timestamp(*time).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        Ok(Timestamp::deserialize(deserializer)?.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    /// A decision about `repository` with the id `decision`.
    pub(in crate::audit) fn decision(decision: &str, repository: &str) -> DecisionRecord {
        DecisionRecord {
            time: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            decision: decision.to_owned(),
            outcome: "denied".to_owned(),
            reason: "no_signature".to_owned(),
            upstream: "registry.test".to_owned(),
            repository: repository.to_owned(),
            reference: "1.0".to_owned(),
            digest: Some(Digest::of(repository.as_bytes())),
            rule: Some("registry.test/**".to_owned()),
            mode: "enforce".to_owned(),
            enforced: true,
            policy: "aa".to_owned(),
            trust: "bb".to_owned(),
            evidence: vec![serde_json::json!({"place": "registry.test/app", "found": false})],
            client: client(),
            request: "request-1".to_owned(),
            message: "refused".to_owned(),
            next_step: "sign it".to_owned(),
            tree: None,
        }
    }

    pub(in crate::audit) fn client() -> ClientRecord {
        ClientRecord {
            address: [127, 0, 0, 1].into(),
            user: None,
            label: Some("test".to_owned()),
            job: None,
        }
    }

    #[test]
    fn a_decision_carries_the_members_of_the_contract() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&decision("01J", "app")).unwrap(), @r#"
        {
          "time": "2026-01-01T00:00:00.000Z",
          "decision": "01J",
          "outcome": "denied",
          "reason": "no_signature",
          "upstream": "registry.test",
          "repository": "app",
          "reference": "1.0",
          "digest": "sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333",
          "rule": "registry.test/**",
          "mode": "enforce",
          "enforced": true,
          "policy": "aa",
          "trust": "bb",
          "evidence": [
            {
              "place": "registry.test/app",
              "found": false
            }
          ],
          "client": {
            "address": "127.0.0.1",
            "label": "test"
          },
          "request": "request-1",
          "message": "refused",
          "next_step": "sign it"
        }
        "#);
    }

    #[test]
    fn a_pull_carries_the_members_of_the_contract() {
        let pull = PullRecord {
            time: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            decision: "01J".to_owned(),
            client: client(),
            digest: Digest::of(b"app"),
            count: 3,
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&pull).unwrap(), @r#"
        {
          "time": "2026-01-01T00:00:00.000Z",
          "decision": "01J",
          "client": {
            "address": "127.0.0.1",
            "label": "test"
          },
          "digest": "sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333",
          "count": 3
        }
        "#);
    }

    proptest! {
        #[test]
        fn lines_round_trip_and_stay_one_line(text in "\\PC*|[\\n\\r\\x00]*", label: Option<String>) {
            let mut record = decision("01J", "app");
            record.message = text;
            record.client.label = label;
            let entry = Entry::Decision(Box::new(record));
            let line = entry.to_line();
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(serde_json::from_slice::<Entry>(&line).unwrap(), entry);
        }

        #[test]
        fn reading_a_line_never_panics(bytes: Vec<u8>) {
            let _ = serde_json::from_slice::<Entry>(&bytes);
        }
    }
}
