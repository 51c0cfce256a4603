//! `WWW-Authenticate`: what a registry wants to see before it answers.
//!
//! RFC 9110, 11.6.1: a list of challenges, each a scheme with parameters or with one `token68`, in
//! one header or several. The comma separates both challenges and parameters, so which one it is
//! shows only at what follows. A parameter given twice is refused: two readers could see two realms.

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, lower-case: `bearer`.
    pub scheme: String,
    /// The parameters, names in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Every challenge in `headers`, in order.
    ///
    /// # Errors
    /// When a header breaks the grammar or has more than any registry sends.
    pub fn all(headers: &HeaderMap) -> Result<Vec<Self>, MalformedChallenge> {
        let mut challenges = Vec::new();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = value.to_str().map_err(|_| MalformedChallenge)?;
            if text.len() > MAX_LENGTH {
                return Err(MalformedChallenge);
            }
            parse_into(&mut challenges, text)?;
        }
        Ok(challenges)
    }

    /// The value of the parameter `name` (lower-case).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), MalformedChallenge> {
        let name = name.to_ascii_lowercase();
        if self.parameters.len() >= MAX_PARAMETERS || self.parameter(&name).is_some() {
            return Err(MalformedChallenge);
        }
        self.parameters.push((name, value));
        Ok(())
    }
}

/// The header breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its `WWW-Authenticate` header cannot be read")]
pub struct MalformedChallenge;

/// Characters of one header.
const MAX_LENGTH: usize = 8 << 10;
/// Challenges of one answer.
const MAX_CHALLENGES: usize = 16;
/// Parameters of one challenge.
const MAX_PARAMETERS: usize = 16;

fn parse_into(challenges: &mut Vec<Challenge>, text: &str) -> Result<(), MalformedChallenge> {
    let mut cursor = Cursor { rest: text };
    // Parameters belong to a challenge of their own header.
    let mut is_open = false;
    loop {
        cursor.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if cursor.rest.is_empty() {
            return Ok(());
        }
        let word = cursor.token().ok_or(MalformedChallenge)?;
        if let Some(value) = cursor.assignment()? {
            let last = challenges.last_mut().filter(|_| is_open).ok_or(MalformedChallenge)?;
            last.add(word, value)?;
        } else {
            if challenges.len() >= MAX_CHALLENGES {
                return Err(MalformedChallenge);
            }
            let scheme = word.to_ascii_lowercase();
            challenges.push(Challenge { scheme, parameters: Vec::new() });
            is_open = true;
            cursor.first_argument(challenges.last_mut().ok_or(MalformedChallenge)?)?;
        }
        cursor.end_of_element()?;
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Takes the longest run of bytes that `wanted` likes, all of them ASCII.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().take_while(|byte| byte.is_ascii() && wanted(*byte)).count();
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    fn token(&mut self) -> Option<&'a str> {
        let run = self.skip(is_token_byte);
        (!run.is_empty()).then_some(run)
    }

    fn spaces(&mut self) -> bool {
        !self.skip(|byte| matches!(byte, b' ' | b'\t')).is_empty()
    }

    /// `= value`, with the spaces that RFC 9110 tolerates; `None`, and nothing taken, when there is
    /// no equals sign.
    fn assignment(&mut self) -> Result<Option<String>, MalformedChallenge> {
        let mut ahead = Cursor { rest: self.rest };
        ahead.spaces();
        let Some(rest) = ahead.rest.strip_prefix('=') else { return Ok(None) };
        ahead.rest = rest;
        ahead.spaces();
        let value = if ahead.rest.starts_with('"') {
            ahead.quoted()?
        } else {
            ahead.token().ok_or(MalformedChallenge)?.to_owned()
        };
        *self = ahead;
        Ok(Some(value))
    }

    /// What follows a scheme: nothing, a `token68`, or the first parameter.
    fn first_argument(&mut self, challenge: &mut Challenge) -> Result<(), MalformedChallenge> {
        if !self.spaces() {
            return Ok(());
        }
        let mut ahead = Cursor { rest: self.rest };
        let token68 = ahead.skip(is_token68_byte);
        ahead.skip(|byte| byte == b'=');
        ahead.spaces();
        if ahead.rest.is_empty() || ahead.rest.starts_with(',') {
            // Schemes that use it (Negotiate) are none that a mirror speaks; its value is dropped.
            if token68.is_empty() && ahead.rest.len() != self.rest.len() {
                return Err(MalformedChallenge);
            }
            *self = ahead;
            return Ok(());
        }
        let name = self.token().ok_or(MalformedChallenge)?;
        let value = self.assignment()?.ok_or(MalformedChallenge)?;
        challenge.add(name, value)
    }

    /// A quoted string (RFC 9110, 5.6.4), without its quotes and escapes.
    fn quoted(&mut self) -> Result<String, MalformedChallenge> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => value.push(characters.next().ok_or(MalformedChallenge)?.1),
                other => value.push(other),
            }
        }
        Err(MalformedChallenge)
    }

    fn end_of_element(&mut self) -> Result<(), MalformedChallenge> {
        self.spaces();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            Ok(())
        } else {
            Err(MalformedChallenge)
        }
    }
}

/// RFC 9110, 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// RFC 9110, 11.2.
const fn is_token68_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(lines: &[&str]) -> Result<Vec<Challenge>, MalformedChallenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        Challenge::all(&headers)
    }

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Challenge { scheme: scheme.to_owned(), parameters: parameters.iter().map(owned).collect() }
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
        let parsed = parse(&[hub]).unwrap();
        assert_eq!(parsed.len(), 1);
        assert_eq!(parsed[0].scheme, "bearer");
        assert_eq!(parsed[0].parameter("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(parsed[0].parameter("scope"), Some("repository:library/nginx:pull"));
        assert_eq!(parsed[0].parameter("error"), None);
    }

    #[test]
    fn tells_challenges_from_parameters() {
        let basic = challenge("basic", &[("realm", "a, b")]);
        let bearer = challenge("bearer", &[("realm", "x"), ("service", "y")]);
        for lines in [
            &[r#"Basic realm="a, b", Bearer realm=x,service="y""#][..],
            &[r#" , BASIC  Realm = "a, b" ,, bearer realm="\x" , service=y ,"#],
            &[r#"Basic realm="a, b""#, r#"Bearer realm=x, service=y"#],
        ] {
            assert_eq!(parse(lines), Ok(vec![basic.clone(), bearer.clone()]), "{lines:?}");
        }
        let negotiate = challenge("negotiate", &[]);
        for lines in [
            &["Negotiate", r#"Basic realm="a, b""#][..],
            &[r#"Negotiate YWJj/+==, Basic realm="a, b""#],
            &[r#"Negotiate , Basic realm="a, b""#],
        ] {
            assert_eq!(parse(lines), Ok(vec![negotiate.clone(), basic.clone()]), "{lines:?}");
        }
        // By the grammar this is a `token68`, so it names no realm.
        assert_eq!(parse(&["Bearer realm="]), Ok(vec![challenge("bearer", &[])]));
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&["  "]), Ok(vec![]));
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for bad in [
            r#"Bearer realm="https://a.test",realm="https://evil.test""#,
            r#"Bearer realm="a",REALM="b""#,
            r#"Bearer realm="a"#,
            r#"Bearer realm="a\"#,
            r#"Bearer realm="a"service="b""#,
            r#"Bearer realm=https://a.test/x"#,
            r#"realm="a""#,
            r#"Bearer =="#,
            r#"Bearer "a""#,
            "@",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&[r#"Basic realm="a""#, r#"service="b""#]).is_err(), "of no challenge");
    }

    #[test]
    fn g36_a_flood_of_challenges_is_refused() {
        let many = "A, ".repeat(MAX_CHALLENGES + 1);
        assert!(parse(&[&many]).is_err());
        let parameters: String = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=x, ")).collect();
        assert!(parse(&[&format!("Bearer {parameters}")]).is_err());
        assert!(parse(&[&format!("Bearer realm=\"{}\"", "a".repeat(MAX_LENGTH))]).is_err());
    }

    fn printed(challenge: &Challenge) -> String {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let parameters: Vec<_> = challenge
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
            .collect();
        format!("{} {}", challenge.scheme, parameters.join(", "))
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ -~\t]{0,80}") {
            let _ = parse(&[&text]);
        }

        #[test]
        fn parsing_never_panics_near_the_grammar(text in "([ ,=\"\\\\/]|Bearer|realm|x){0,20}") {
            let _ = parse(&[&text]);
        }

        #[test]
        fn printing_and_parsing_round_trip(
            made in prop::collection::vec(
                ("[a-z]{1,6}", prop::collection::btree_map("[a-z]{1,5}", "[ -~]{0,12}", 0..4)),
                0..4,
            ),
        ) {
            let challenges: Vec<_> = made
                .into_iter()
                .map(|(scheme, parameters)| Challenge {
                    scheme,
                    parameters: parameters.into_iter().collect(),
                })
                .collect();
            let text: Vec<_> = challenges.iter().map(printed).collect();
            prop_assert_eq!(parse(&[&text.join(", ")]), Ok(challenges));
        }
    }
}
