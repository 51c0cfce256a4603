//! Loading as a whole: layers, every kind of mistake, and the example file.

use std::{
    fs::{self, File},
    io::Write as _,
};

use proptest::prelude::*;

use super::*;

/// A folder with files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What loading its `portcullis.toml` says.
    fn load(
        &self,
        variables: &[(&str, &str)],
        overrides: Overrides,
    ) -> Result<Loaded, Vec<String>> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = ConfigRequest {
            file: Some(self.path("portcullis.toml")),
            overrides,
            variables: variables.collect(),
        };
        load(&request).map_err(|rejected| self.told(&rejected.problems))
    }

    /// `problems` as they are printed, the folder left out.
    fn told(&self, problems: &[Problem]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn load_text(text: &str) -> Result<Loaded, Vec<String>> {
    Folder::with(&[("portcullis.toml", text)]).load(&[], Overrides::default())
}

fn problems(text: &str) -> Vec<String> {
    load_text(text).expect_err("must be refused")
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(|warning| warning.what.clone()).collect()
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["mirror.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn an_empty_file_means_docker_hub_and_the_catalogue_on_loopback() {
    let loaded = load_text("").unwrap();
    let config = &loaded.config;
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:5000");
    assert_eq!(config.listen.admin.unwrap().to_string(), "127.0.0.1:5001");
    assert_eq!(config.upstreams.len(), 6);
    assert_eq!(config.upstreams[0].url.to_string(), "https://registry-1.docker.io");
    assert_eq!(config.table.default_upstream().unwrap().as_str(), "docker.io");
    assert!(config.data.ends_with("data") && config.policy.is_none());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn paths_in_a_file_are_relative_to_it_and_options_to_the_current_folder() {
    let folder = Folder::with(&[("portcullis.toml", "data = 'kept'\npolicy = 'p.toml'")]);
    let overrides = Overrides { policy: Some("q.toml".to_owned()), ..Overrides::default() };
    let config = folder.load(&[], overrides).unwrap().config;
    assert_eq!(config.data, folder.path("kept"));
    assert_eq!(config.policy.unwrap(), Path::new("q.toml"));
}

#[test]
fn options_win_over_the_environment_and_that_over_the_file() {
    let folder = Folder::with(&[(
        "portcullis.toml",
        "data = 'file'\n[listen]\naddress = '127.0.0.1:1'\n[cache]\ntag_fresh = '1s'\n[[upstream]]\nname = 'a.test'\n",
    )]);
    let variables = [
        ("PORTCULLIS_DATA", "environment"),
        ("PORTCULLIS_LISTEN_ADDRESS", "127.0.0.1:2"),
        ("PORTCULLIS_UPSTREAM_1_ALIASES", "b.test,c.test"),
    ];
    let overrides = Overrides { listen: Some("127.0.0.1:3".to_owned()), ..Overrides::default() };
    let config = folder.load(&variables, overrides).unwrap().config;
    assert_eq!(config.listen.address.port(), 3);
    assert_eq!(config.listen.admin.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(config.data, Path::new("environment"));
    assert_eq!(config.cache.tag_fresh, Duration::from_secs(1));
    assert_eq!(config.table.named("c.test").unwrap().as_str(), "a.test");
}

#[test]
fn upstreams_on_the_command_line_replace_the_configured_ones() {
    let folder = Folder::with(&[("portcullis.toml", "[[upstream]]\nname = 'a.test'\n")]);
    let upstreams = [("b.test", "http://127.0.0.1:1"), ("c.test", "http://127.0.0.1:2")];
    let overrides = Overrides {
        upstreams: upstreams.map(|(name, url)| (name.to_owned(), url.to_owned())).to_vec(),
        ..Overrides::default()
    };
    let config = folder.load(&[], overrides).unwrap().config;
    let names: Vec<_> = config.table.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["b.test", "c.test"]);
    assert_eq!(config.table.default_upstream().unwrap().as_str(), "b.test");
    assert!(config.upstreams[0].url.is_plain());
}

#[test]
fn tells_every_mistake_with_its_place() {
    let text = "polcy = 'p.toml'
[listen]
address = 'localhost:5000'
[cache]
max_size = '1 GB'
tag_fresh = '1 minute'
scrub_every = '0s'
[log]
level = 'loud'
format = 'xml'
[[upstream]]
name = 'A.test'
url = 'a.test'
ca_only = true
default = true
[[upstream]]
name = 'b.test'
url = 'https://b.test/v2'
username = 'ci'
proxy = 'socks5://p'
default = true
[[upstream]]
name = 'b.test'
hosts = ['h.test', 'h.test']
password_env = 'UNSET'
timeouts = { connect = 'soon' }
";
    insta::assert_snapshot!(problems(text).join("\n"), @r#"
    portcullis.toml:1: `polcy`: is not a setting
      next: did you mean `policy`?
    portcullis.toml:3: `listen.address`: `localhost:5000` is not an address
      next: write an IP address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`
    portcullis.toml:5: `cache.max_size`: `1 GB`: a size is a whole number and a unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`), such as `"512MiB"`
    portcullis.toml:6: `cache.tag_fresh`: `1 minute`: a duration is a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), such as `"90s"`
    portcullis.toml:7: `cache.scrub_every`: must be longer than nothing
    portcullis.toml:9: `log.level`: `loud`: the log's level is `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list such as `info,portcullis::store=debug`
    portcullis.toml:10: `log.format`: `xml`: the format of the log is `human` or `json`
    portcullis.toml:12: `upstream[0].name`: `A.test`: an upstream is a lower-case host name with an optional port, such as `docker.io`
    portcullis.toml:13: `upstream[0].url`: `a.test`: it must begin with `http://` or `https://`
    portcullis.toml:14: `upstream[0].ca_only`: there is no `ca` to trust alone
    portcullis.toml:18: `upstream[1].url`: `https://b.test/v2`: leave out the `/v2` at its end: the mirror adds it
    portcullis.toml:19: `upstream[1].username`: has no password
      next: add `password_file` or `password_env`
    portcullis.toml:20: `upstream[1].proxy`: `socks5://p`: only proxies that are spoken to by `http://` are supported
    portcullis.toml:21: `upstream[1].default`: only one upstream can be the default
    portcullis.toml:22: `upstream[2].username`: is missing, but there is a password
    portcullis.toml:23: `upstream[2].name`: `b.test` is given twice
    portcullis.toml:24: `upstream[2].hosts[1]`: `h.test` is given twice
    portcullis.toml:25: `upstream[2].password_env`: the password is empty or not set
    portcullis.toml:26: `upstream[2].timeouts.connect`: `soon`: a duration is a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), such as `"90s"`
    "#);
}

#[test]
fn plain_http_for_other_machines_must_be_asked_for() {
    let refused = problems("[listen]\naddress = '0.0.0.0:5000'\n");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("refuses to speak plain HTTP on 0.0.0.0:5000"), "{refused:?}");
    assert!(load_text("[listen]\naddress = '[::]:5000'\nplain_http = true\n").is_ok());
    let admin = load_text("[listen]\nadmin = '0.0.0.0:5001'\n").unwrap();
    assert!(warnings(&admin)[0].contains("can be read by other machines"));
    assert!(load_text("[listen]\nadmin = 'off'\n").unwrap().config.listen.admin.is_none());
    assert!(problems("[listen]\nadmin = '127.0.0.1:5000'\n")[0].contains("for clients"));
}

#[test]
fn limits_that_would_stop_everything_are_refused() {
    let text = "[limits]
connections = 0
streams = 0
header_bytes = '1KiB'
idle = '0s'
drain = '0s'
";
    insta::assert_snapshot!(problems(text).join("\n"), @"
    portcullis.toml:2: `limits.connections`: must be at least 1
    portcullis.toml:3: `limits.streams`: must be at least 1
    portcullis.toml:4: `limits.header_bytes`: must be at least 8KiB
    portcullis.toml:5: `limits.idle`: must be longer than nothing
    ");
}

#[test]
fn tls_files_are_looked_at_when_loading() {
    let ((certificate, key), (_, other)) = (pair(), pair());
    let text =
        "[listen]\naddress = '0.0.0.0:5000'\ntls = { certificate = 'm.pem', key = 'm.key' }\n";
    let files = |key| [("portcullis.toml", text), ("m.pem", certificate.as_str()), ("m.key", key)];
    assert!(Folder::with(&files(&key)).load(&[], Overrides::default()).is_ok());
    let refused = Folder::with(&files(&other)).load(&[], Overrides::default()).unwrap_err();
    assert!(refused[0].starts_with("portcullis.toml:3: `listen.tls`: "), "{refused:?}");
    let missing = problems("[listen]\ntls = { key = 'm.key' }\n");
    assert!(missing[0].contains("`listen.tls.certificate`: is missing"), "{missing:?}");
}

#[test]
fn a_password_comes_from_exactly_one_place() {
    let upstream = |rest: &str| format!("[[upstream]]\nname = 'a.test'\n{rest}");
    let load = |rest: &str| {
        let text = upstream(rest);
        let folder = Folder::with(&[
            ("portcullis.toml", &text),
            ("secret", "hunter2\n"),
            ("config.json", r#"{"auths": {"a.test": {"auth": "Y2k6aHVudGVyMg=="}}}"#),
        ]);
        folder.load(&[("TOKEN", "hunter2")], Overrides::default())
    };
    for good in [
        "username = 'ci'\npassword_file = 'secret'",
        "username = 'ci'\npassword_env = 'TOKEN'",
        "auth_file = 'config.json'",
    ] {
        let loaded = load(good).unwrap();
        let credentials = loaded.config.upstreams[0].credentials.as_ref().unwrap();
        assert_eq!(
            (credentials.username.as_str(), credentials.password.expose().as_str()),
            ("ci", "hunter2")
        );
        assert!(!format!("{loaded:?}").contains("hunter2"));
    }
    for bad in [
        "username = 'ci'",
        "password_file = 'secret'",
        "username = 'ci'\npassword_file = 'secret'\npassword_env = 'TOKEN'",
        "username = 'ci'\npassword_file = 'missing'",
        "username = 'ci'\npassword_env = 'MISSING'",
        "username = 'c:i'\npassword_env = 'TOKEN'",
        "username = 'ci'\nauth_file = 'config.json'",
        "auth_file = 'secret'",
    ] {
        assert_eq!(load(bad).unwrap_err().len(), 1, "{bad}");
    }
}

#[test]
fn warns_of_credentials_that_others_could_see_or_use() {
    let text = "[listen]\naddress = '0.0.0.0:5000'\nplain_http = true\n[[upstream]]\nname = 'a.test'\nurl = 'http://a.test'\nusername = 'ci'\npassword_env = 'TOKEN'\n";
    let folder = Folder::with(&[("portcullis.toml", text)]);
    let loaded = folder.load(&[("TOKEN", "t")], Overrides::default()).unwrap();
    insta::assert_snapshot!(folder.told(&loaded.warnings).join("\n"), @"
    portcullis.toml:6: `upstream[0].url`: its user name and password travel over plain HTTP
      next: use an `https://` url wherever the network between is not your own
    portcullis.toml:2: `listen.address`: everyone who reaches the mirror can pull what its user at `a.test` can, as far as policy admits it
      next: let only those reach it who may, or listen on a loopback address: clients cannot log in yet
    ");
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let request = ConfigRequest {
        file: Some("/nonexistent/portcullis.toml".into()),
        ..ConfigRequest::default()
    };
    let problem = load(&request).unwrap_err().problems[0].to_string();
    assert!(problem.starts_with("/nonexistent/portcullis.toml: cannot read"), "{problem}");
}

#[test]
fn the_example_loads_as_it_is() {
    let request = ConfigRequest { file: Some(example()), ..ConfigRequest::default() };
    let loaded = load(&request).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.config.policy.as_ref().unwrap().exists());
    // What the example spells out is what holds without it.
    let bare = load_text("").unwrap().config;
    assert_eq!(loaded.config.limits, bare.limits);
    assert_eq!(loaded.config.cache, bare.cache);
    assert_eq!(loaded.config.listen, bare.listen);
    assert_eq!(loaded.config.log, bare.log);
}

#[test]
fn the_example_loads_with_everything_switched_on() {
    let text = fs::read_to_string(example()).unwrap();
    let on: String = text.lines().map(|line| switched_on(line).to_owned() + "\n").collect();
    let (certificate, key) = pair();
    let folder = Folder::with(&[
        ("portcullis.toml", &on),
        ("certs/mirror.pem", &certificate),
        ("certs/mirror.key", &key),
        ("certs/corporate.pem", &certificate),
        ("secrets/hub", "hunter2"),
        ("secrets/config.json", r#"{"auths": {"registry.corp.example:5000": {"auth": "YTpi"}}}"#),
    ]);
    folder.load(&[("GHCR_TOKEN", "t")], Overrides::default()).unwrap();
}

#[test]
fn the_example_names_every_setting() {
    let text = fs::read_to_string(example()).unwrap();
    let mut missing = Vec::new();
    let mut schemas = vec![schema()];
    while let Some(schema) = schemas.pop() {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            if !text.contains(name.as_str()) {
                missing.push(name.as_str());
            }
            schemas.extend([inner, &inner["items"]]);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn loading_never_panics_and_tells_where(lines in prop::collection::vec(line(), 0..12)) {
        if let Err(problems) = load_text(&lines.join("\n")) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.starts_with("portcullis.toml"), "{problem}");
            }
        }
    }
}

/// Lines of a configuration, some of them wrong.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "data",
        "listen.address",
        "listen.admin",
        "listen.plain_http",
        "listen.tls",
        "cache.max_size",
        "cache.tag_fresh",
        "limits.streams",
        "log.level",
        "upstream",
        "name",
        "url",
        "default",
        "hosts",
        "aliases",
        "username",
        "password_env",
        "ca_only",
        "proxy",
        "realms",
        "timeouts.idle",
    ]);
    let value = prop::sample::select(vec![
        "true",
        "0",
        "-1",
        "'off'",
        "'1GiB'",
        "'90s'",
        "'a.test'",
        "'http://a.test'",
        "'127.0.0.1:0'",
        "['a.test']",
        "[1]",
        "{}",
        "{ key = 'k' }",
        "'info'",
    ]);
    prop_oneof![
        Just("[[upstream]]".to_owned()),
        Just("[listen]".to_owned()),
        (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/portcullis.toml")
}

/// A setting behind a `#` without a space, as it is without it.
fn switched_on(line: &str) -> &str {
    line.strip_prefix('#')
        .filter(|rest| rest.starts_with(|first: char| !first.is_whitespace()))
        .unwrap_or(line)
}
