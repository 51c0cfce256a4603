//! Archives made to do harm, or broken on the way: each is refused with a sentence that says what is
//! wrong with it, whether it comes as a file or as a stream, and leaves nothing behind that anybody
//! could pull.

use std::{fs, os::unix::fs::symlink, path::Path, process::Stdio};

use futures_util::future::join_all;
use tar::{EntryType, Header};

use super::*;

/// A file in a tar file, as a hostile hand writes it.
#[derive(Clone)]
struct Member {
    header: Header,
    content: Vec<u8>,
}

/// A good archive, to be changed into bad ones.
#[derive(Clone)]
struct Bag {
    members: Vec<Member>,
    /// The signed image, its manifest and a layer of it, as they are called in the archive.
    manifest: String,
    layer: String,
    end: usize,
}

impl Member {
    fn new(path: &str, content: &[u8]) -> Self {
        Self::of_kind(EntryType::Regular, path.as_bytes(), content)
    }

    fn of_kind(kind: EntryType, path: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        Self { header, content: content.to_vec() }
    }

    fn path(&self) -> String {
        String::from_utf8_lossy(&self.header.path_bytes()).into_owned()
    }

    /// An extended header with `records` as they are.
    fn pax(records: &[u8]) -> Self {
        Self::of_kind(EntryType::XHeader, b"pax", records)
    }

    fn claiming(mut self, size: u64) -> Self {
        self.header.set_size(size);
        self.header.set_cksum();
        self
    }
}

/// A pax record.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = if rest + 2 >= 100 { 3 } else { 2 };
    let mut record = format!("{} {key}=", rest + digits).into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

impl Bag {
    fn read(path: &str, image: &Image) -> Self {
        let mut archive = tar::Archive::new(fs::File::open(path).expect("it was exported"));
        let members = archive.entries().expect("it is a tar file").map(|entry| {
            let mut entry = entry.expect("it is whole");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("it is whole");
            Member::new(&String::from_utf8_lossy(&entry.path_bytes()), &content)
        });
        let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let (manifest, layer) = (blob(&image.digest), blob(&image.layer(0)));
        Self { members: members.collect(), manifest, layer, end: 1024 }
    }

    fn member(&self, path: &str) -> Member {
        self.members.iter().find(|member| member.path() == path).expect("it is there").clone()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for member in &self.members {
            bytes.extend_from_slice(member.header.as_bytes());
            bytes.extend_from_slice(&member.content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + self.end, 0);
        bytes
    }

    fn with(&self, member: Member) -> Vec<u8> {
        self.with_all(vec![member])
    }

    fn with_all(&self, members: Vec<Member>) -> Vec<u8> {
        let mut bag = self.clone();
        bag.members.splice(0..0, members);
        bag.bytes()
    }

    fn without(&self, path: &str) -> Self {
        let mut bag = self.clone();
        bag.members.retain(|member| member.path() != path);
        bag
    }

    /// With another content of `path`, and no checksums that would give it away.
    fn changed(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bag = self.without("SHA256SUMS");
        let member =
            bag.members.iter_mut().find(|member| member.path() == path).expect("it is there");
        change(&mut member.content);
        *member = Member::new(path, &member.content);
        bag.bytes()
    }

    /// With another `index.json`, and no inventory that would know better.
    fn index(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let bag = self.without("portcullis.json");
        bag.changed("index.json", |content| {
            let mut value: Value = serde_json::from_slice(content).expect("it is JSON");
            change(&mut value);
            *content = value.to_string().into_bytes();
        })
    }
}

/// What is wrong, the archive, and words that the answer must have.
type Case = (&'static str, Vec<u8>, &'static str);

fn names_and_kinds(bag: &Bag) -> Vec<Case> {
    let odd = |kind: EntryType| bag.with(Member::of_kind(kind, b"blobs/x", b""));
    let pax_path =
        |path: &[u8]| bag.with_all(vec![Member::pax(&record("path", path)), Member::new("x", b"")]);
    vec![
        ("traversal", bag.with(Member::new("../evil", b"x")), "unsafe name"),
        ("absolute", bag.with(Member::new("/tmp/portcullis-evil", b"x")), "unsafe name"),
        ("traversal inside", bag.with(Member::new("blobs/../../evil", b"x")), "unsafe name"),
        ("backslash", bag.with(Member::new("blobs\\sha256\\x", b"x")), "unsafe name"),
        ("traversal by pax", pax_path(b"../../evil"), "unsafe name"),
        ("zero byte by pax", pax_path(b"index.json\0x"), "unsafe name"),
        ("no text by pax", pax_path(b"\xff\xfe"), "unsafe name"),
        ("symbolic link", odd(EntryType::Symlink), "symbolic link"),
        ("hard link", odd(EntryType::Link), "hard link"),
        ("character device", odd(EntryType::Char), "device"),
        ("block device", odd(EntryType::Block), "device"),
        ("pipe", odd(EntryType::Fifo), "pipe"),
        ("sparse file", odd(EntryType::GNUSparse), "sparse file"),
        ("unknown kind", odd(EntryType::new(b'Z')), "unknown kind"),
        (
            "sparse by pax",
            bag.with(Member::pax(&record("GNU.sparse.realsize", b"99999999999"))),
            "sparse file",
        ),
        (
            "folder with content",
            bag.with(Member::of_kind(EntryType::Directory, b"blobs/", b"hidden")),
            "folder with content",
        ),
        (
            "upper-case digest",
            bag.with(Member::new(
                &bag.layer.to_uppercase().replace("BLOBS/SHA256", "blobs/sha256"),
                b"",
            )),
            "no digest",
        ),
        ("short digest", bag.with(Member::new("blobs/sha256/abc", b"")), "no digest"),
        (
            "unknown algorithm",
            bag.with(Member::new("blobs/md5/d41d8cd98f00b204e9800998ecf8427e", b"")),
            "no digest",
        ),
        ("content twice", bag.with(bag.member(&bag.layer)), "twice"),
        ("index twice", bag.with(Member::new("index.json", b"{}")), "twice"),
        ("version twice", bag.with(Member::new("oci-layout", b"{}")), "twice"),
    ]
}

fn broken_tars(bag: &Bag) -> Vec<Case> {
    let whole = bag.bytes();
    let mut bad_sum = whole.clone();
    bad_sum[0] ^= 1;
    let long = Member::of_kind(EntryType::XHeader, b"pax", b"").claiming(1 << 40);
    let long_name =
        Member::of_kind(EntryType::GNULongName, b"././@LongLink", b"").claiming(1 << 33);
    let twice = [record("path", b"x"), record("path", b"y")].concat();
    let no_end = Bag { end: 0, ..bag.clone() };
    vec![
        ("empty", Vec::new(), "ends in the middle"),
        ("no tar", b"once upon a time ".repeat(99), "checksum of a header"),
        ("cut in content", whole[..whole.len() - 2000].to_vec(), "ends in the middle"),
        ("cut in a header", whole[..700].to_vec(), "ends in the middle"),
        ("cut before the end", no_end.bytes(), "ends in the middle"),
        ("wrong sum", bad_sum, "checksum of a header"),
        ("huge length", bag.with(Member::new("x", b"").claiming(1 << 62)), "ends in the middle"),
        ("length beyond all files", bag.with(Member::new("x", b"").claiming(u64::MAX / 2)), ""),
        ("huge extended header", bag.with(long), "extended header"),
        ("huge long name", bag.with(long_name), "extended header"),
        ("malformed pax", bag.with(Member::pax(b"nonsense")), "malformed"),
        ("pax length too long", bag.with(Member::pax(b"99 path=x\n")), "malformed"),
        ("pax twice", bag.with(Member::pax(&twice)), "says something twice"),
        ("pax length no number", bag.with(Member::pax(&record("size", b"-1"))), "no number"),
        ("gzip", [b"\x1f\x8b\x08\0".to_vec(), whole.clone()].concat(), ""),
        ("zstd", [b"\x28\xb5\x2f\xfd".to_vec(), whole].concat(), ""),
    ]
}

fn lying_documents(bag: &Bag) -> Vec<Case> {
    let other = Digest::of(b"other");
    vec![
        (
            "layout missing",
            bag.without("SHA256SUMS").without("oci-layout").bytes(),
            "no `oci-layout`",
        ),
        (
            "index missing",
            bag.without("SHA256SUMS").without("index.json").bytes(),
            "no `index.json`",
        ),
        (
            "sums of a missing file",
            bag.without("oci-layout").bytes(),
            "`oci-layout` in the archive is damaged",
        ),
        (
            "another version",
            bag.changed("oci-layout", |text| {
                *text = b"{\"imageLayoutVersion\":\"2.0.0\"}".to_vec()
            }),
            "version `2.0.0`",
        ),
        (
            "version no JSON",
            bag.changed("oci-layout", |text| *text = b"1.0.0".to_vec()),
            "`oci-layout`",
        ),
        (
            "huge version",
            bag.changed("oci-layout", |text| text.resize(1 << 20, b' ')),
            "are allowed",
        ),
        ("index no JSON", bag.changed("index.json", |text| *text = b"[".to_vec()), "`index.json`"),
        (
            "index twice inside",
            bag.changed("index.json", |text| {
                *text = b"{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}".to_vec()
            }),
            "`index.json`",
        ),
        (
            "index is an image",
            bag.index(|index| {
                *index = json!({"schemaVersion": 2, "config": index["manifests"][0], "layers": []})
            }),
            "`index.json`",
        ),
        ("huge index", bag.changed("index.json", |text| text.resize(5 << 20, b' ')), "are allowed"),
        (
            "wrong length",
            bag.index(|index| index["manifests"][0]["size"] = json!(1)),
            "another length",
        ),
        (
            "negative length",
            bag.index(|index| index["manifests"][0]["size"] = json!(-1)),
            "`index.json`",
        ),
        (
            "manifest missing",
            bag.index(|index| index["manifests"][0]["digest"] = json!(other)),
            "lacks",
        ),
        (
            "called by another digest",
            bag.index(|index| {
                let name = format!("{NAME}/acme/app@{other}");
                index["manifests"][0]["annotations"] =
                    json!({ "org.opencontainers.image.ref.name": name });
            }),
            "digest of something else",
        ),
        (
            "one name for two",
            bag.index(|index| {
                let name = index["manifests"][0]["annotations"].clone();
                index["manifests"][1]["annotations"] = name;
            }),
            "twice",
        ),
        (
            "no name",
            bag.index(|index| index["manifests"][0]["annotations"] = json!({})),
            "what it is called",
        ),
        (
            "name of an unknown upstream",
            bag.index(|index| {
                index["manifests"][0]["annotations"] =
                    json!({ "org.opencontainers.image.ref.name": "else.test/acme/app:v1" });
            }),
            "not an upstream",
        ),
        (
            "inventory no JSON",
            bag.changed("portcullis.json", |text| text.truncate(9)),
            "`portcullis.json`",
        ),
        (
            "inventory of the future",
            bag.changed("portcullis.json", |text| {
                *text = String::from_utf8_lossy(text)
                    .replace("\"version\": 1", "\"version\": 9")
                    .into_bytes();
            }),
            "version 9",
        ),
        ("content missing", bag.without(&bag.layer).bytes(), "lacks"),
        (
            "content missing, no inventory",
            bag.without(&bag.layer).without("SHA256SUMS").without("portcullis.json").bytes(),
            "does not have it",
        ),
        ("content flipped", bag.changed(&bag.layer, |content| content[0] ^= 1), ""),
        ("content cut", bag.changed(&bag.layer, |content| content.truncate(1)), ""),
        ("content longer", bag.changed(&bag.layer, |content| content.push(0)), ""),
        ("manifest flipped", bag.changed(&bag.manifest, |content| content[20] ^= 1), ""),
        (
            "wrong sums",
            bag.with_all(Vec::new())
                .iter()
                .map(|byte| if *byte == b'v' { b'w' } else { *byte })
                .collect(),
            "",
        ),
    ]
}

/// Imports `archive` as a file and as a stream.
async fn import_both_ways(far: &Site, name: &str, archive: &[u8]) -> [Said; 2] {
    let path = far.folder.path().join("hostile.tar");
    write(&path, archive);
    let file = far.run(&["import", "hostile.tar"]).await;
    let stream = fs::File::open(&path).expect("it was just written");
    let folder = far.folder.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = program();
        command.args(["import", "-"]).current_dir(folder).stdin(Stdio::from(stream));
        command.output().expect("the program was built")
    });
    let stream = Said::from(ran.await.expect("it does not panic"));
    for said in [&file, &stream] {
        assert_eq!(said.code, Some(1), "{name}: {said:?}");
        assert!(!said.beside.contains("panicked"), "{name}: {said:?}");
    }
    [file, stream]
}

#[tokio::test]
async fn hostile_archives_are_refused_by_name_and_change_nothing() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &[]).await;
    let bag = Bag::read(&near.path("bag.tar"), &app);
    let mut cases = names_and_kinds(&bag);
    cases.extend(broken_tars(&bag));
    cases.extend(lying_documents(&bag));
    assert!(cases.len() >= 60, "{}", cases.len());
    let (upstream, key) = (&upstream, &key);
    let lanes = cases.chunks(cases.len().div_ceil(LANES)).map(|cases| async move {
        let mut missed = Vec::new();
        for (name, archive, expected) in cases {
            // What an earlier one brought would make up for what this one lacks.
            let far = Site::far(upstream, key);
            for said in import_both_ways(&far, name, archive).await {
                if !format!("{}{}", said.answer, said.beside).contains(expected) {
                    missed.push(format!("{name}: {expected:?} is not in {said:#?}"));
                }
            }
            let tag = format!("data/refs-v1/{NAME}/acme/app/_tags/v1");
            assert!(!far.folder.path().join(tag).exists(), "{name}: it can be pulled");
            assert!(!far.folder.path().join("evil").exists(), "{name}");
        }
        assert!(missed.is_empty(), "{}", missed.join("\n"));
        assert!(!Path::new("/tmp/portcullis-evil").exists());
    });
    join_all(lanes).await;
    assert_eq!(bag.bytes().len() % 512, 0);
    write(&near.folder.path().join("again.tar"), bag.bytes());
    Site::far(upstream, key).runs(&["import", &near.path("again.tar")]).await;
}

#[tokio::test]
async fn links_in_a_folder_are_not_followed() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    let layer = format!("blobs/sha256/{}", app.layer(0).hex());
    for (at, name) in ["index.json", layer.as_str(), "blobs/sha256", "blobs"].iter().enumerate() {
        let layout = format!("layout{at}");
        export(&near, &layout, &[]).await;
        let path = near.folder.path().join(&layout).join(name);
        let aside = near.folder.path().join(format!("aside{at}"));
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        let far = Site::far(&upstream, &key);
        let said = far.run(&["import", &near.path(&layout)]).await;
        assert_eq!(said.code, Some(1), "{name}: {said:?}");
        assert_eq!(far.runs(&["list"]).await.answer, "", "{name}");
    }
}

/// Sites that are attacked side by side.
const LANES: usize = 4;
