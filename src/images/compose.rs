//! Compose files: `services.*.image` (Compose specification, "Services top-level element").
//!
//! A service that is built here has no image to pull: its `image` is the name of the result. Its
//! Dockerfile is a file of its own to read.

use super::{
    ReadError, Reading, Text, Values,
    variables::{Escape, substitute},
    yaml::{self, Node, Scalar},
};

pub(super) fn read(source: &Text<'_>, values: &Values) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    for document in yaml::documents(source)? {
        let services = document.root.member("services").map(Node::members).unwrap_or_default();
        for (name, service) in services {
            let Some(name) = name.scalar() else { continue };
            read_service(source, values, name, service, &mut reading);
        }
    }
    Ok(reading)
}

fn read_service(
    source: &Text<'_>,
    values: &Values,
    name: &Scalar,
    service: &Node,
    reading: &mut Reading,
) {
    let place = source.place(name.span.start);
    if service.member("build").is_some() {
        let what = format!("service `{}` is built, not pulled: read its Dockerfile too", name.text);
        return reading.note(place, what);
    }
    let Some(image) = service.member("image").and_then(Node::scalar) else {
        if service.member("extends").is_some() {
            let why = "the service extends another one; read what `docker compose config` prints";
            reading.unclear(place, &name.text, why);
        } else if service.member("provider").is_none() {
            reading.unclear(place, &name.text, "the service has neither `image` nor `build`");
        }
        return;
    };
    match substitute(&image.text, Escape::Doubled, &|name| values.get(name).cloned()) {
        Ok(text) => reading.mention(source, &text, image.span.clone()),
        Err(error) => {
            let place = source.place(image.span.start);
            reading.unclear(place, &image.text, error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Writing;

    const FILE: &str = "\
x-common: &common
  image: ghcr.io/acme/base:1
services:
  web:
    image: \"nginx:${NGINX:-1.27}\"
  worker: { <<: *common, command: work }
  cache:
    image: 'redis:8'   # keep
  app:
    build: .
    image: acme/app
  db:
    image: postgres:${PG}
  late:
    extends: { service: web }
";

    #[test]
    fn reads_services_with_merges_quotes_and_variables() {
        let reading = read(&Text::new("compose.yaml", FILE), &Values::new()).unwrap();
        let told = reading.mentions.iter().map(|mention| {
            let written = match &mention.writing {
                Writing::Literal(span) => &FILE[span.clone()],
                Writing::Computed => "-",
            };
            format!("{} {} {written}", mention.place.line, mention.wanted)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            ["5 nginx:1.27 -", "2 ghcr.io/acme/base:1 ghcr.io/acme/base:1", "8 redis:8 redis:8",]
        );
        let unclear = reading.unclear.iter().map(|unclear| (unclear.place.line, &*unclear.text));
        assert_eq!(unclear.collect::<Vec<_>>(), [(13, "postgres:${PG}"), (14, "late")]);
        assert_eq!(reading.notes.len(), 1);
    }

    #[test]
    fn a_given_variable_wins_over_its_default() {
        let values = Values::from([("NGINX".to_owned(), "1.28".to_owned())]);
        let reading = read(&Text::new("compose.yaml", FILE), &values).unwrap();
        assert_eq!(reading.mentions[0].wanted.to_string(), "nginx:1.28");
    }
}
