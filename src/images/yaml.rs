//! YAML 1.2 as a tree whose scalars know where they stand.
//!
//! An alias is the node that it stands for, shared and not copied, and `<<` merges as YAML 1.1 says:
//! Compose files live on it. Both can be nested until a small file means millions of nodes, so what
//! walks over a tree here has a bound.

use std::{collections::HashMap, ops::Range, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{Place, ReadError, Text};

/// A value.
#[derive(Debug)]
pub(super) enum Node {
    Mapping(Vec<(Rc<Self>, Rc<Self>)>),
    Scalar(Scalar),
    Sequence(Vec<Rc<Self>>),
}

/// A text and where it stands.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// The bytes between the quotes, if there are any.
    pub(super) span: Range<usize>,
    is_plain: bool,
}

impl Node {
    /// The value of `key`, from here or from what is merged in.
    pub(super) fn member(&self, key: &str) -> Option<&Self> {
        self.member_within(key, MAX_MERGES)
    }

    fn member_within(&self, key: &str, depth: usize) -> Option<&Self> {
        let Self::Mapping(members) = self else { return None };
        let named = |wanted: &str| {
            members.iter().find(|(name, _)| name.text() == Some(wanted)).map(|(_, value)| &**value)
        };
        if let Some(value) = named(key) {
            return Some(value);
        }
        let depth = depth.checked_sub(1)?;
        match named("<<")? {
            Self::Sequence(merged) => {
                merged.iter().take(MAX_MERGES).find_map(|node| node.member_within(key, depth))
            }
            merged => merged.member_within(key, depth),
        }
    }

    /// The value at the end of a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.member(key))
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// The scalar, if it is one and not null.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match self {
            Self::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            _ => None,
        }
    }

    /// The elements of a sequence; nothing has none.
    pub(super) fn elements(&self) -> &[Rc<Self>] {
        match self {
            Self::Sequence(elements) => elements,
            Self::Mapping(_) | Self::Scalar(_) => &[],
        }
    }

    /// The members of a mapping, without what is merged in.
    pub(super) fn members(&self) -> &[(Rc<Self>, Rc<Self>)] {
        match self {
            Self::Mapping(members) => members,
            Self::Scalar(_) | Self::Sequence(_) => &[],
        }
    }
}

impl Scalar {
    /// YAML 1.2, 10.2.1.1, and nothing at all.
    fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// A document and the byte where it begins.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Rc<Node>,
    pub(super) start: usize,
}

/// The documents of `source`.
///
/// # Errors
/// [`ReadError`] says where the text stops being YAML.
pub(super) fn documents(source: &Text<'_>) -> Result<Vec<Document>, ReadError> {
    let mut builder = Builder::default();
    let mut documents = Vec::new();
    for event in Parser::new_from_str(source.text) {
        let (event, span) = event.map_err(|error| {
            let place = Place { file: source.file.clone(), line: error.marker().line().max(1) };
            let hint = if source.text.contains("{{") {
                "; a template is read after `helm template`"
            } else {
                ""
            };
            ReadError { place, what: format!("not YAML: {}{hint}", error.info()) }
        })?;
        if let Event::DocumentStart(..) = event {
            builder = Builder::default();
        }
        if let Some(root) = builder.take(event, span, source) {
            documents.push(Document { root, start: span.start.byte_offset().unwrap_or_default() });
        }
    }
    Ok(documents)
}

/// Puts events together.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
}

/// A collection that is not over.
struct Open {
    anchor: usize,
    nodes: Vec<Rc<Node>>,
    is_mapping: bool,
}

impl Builder {
    /// The root, once it is whole.
    fn take(&mut self, event: Event<'_>, span: Span, source: &Text<'_>) -> Option<Rc<Node>> {
        match event {
            Event::Alias(anchor) => {
                // An alias inside of its own anchor has nothing to stand for yet.
                let node = self.anchors.get(&anchor).cloned();
                self.put(node.unwrap_or_else(|| Rc::new(Node::Sequence(Vec::new()))))
            }
            Event::Scalar(text, style, anchor, _) => {
                let scalar = scalar(&text, style, span, source);
                self.finish(anchor, Node::Scalar(scalar))
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, false),
            Event::MappingStart(_, anchor, _) => self.begin(anchor, true),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let node = match open.is_mapping {
                    true => Node::Mapping(pairs(open.nodes)),
                    false => Node::Sequence(open.nodes),
                };
                self.finish(open.anchor, node)
            }
            _ => None,
        }
    }

    fn begin(&mut self, anchor: usize, is_mapping: bool) -> Option<Rc<Node>> {
        self.open.push(Open { anchor, nodes: Vec::new(), is_mapping });
        None
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Option<Rc<Node>> {
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node)
    }

    fn put(&mut self, node: Rc<Node>) -> Option<Rc<Node>> {
        match self.open.last_mut() {
            Some(open) => {
                open.nodes.push(node);
                None
            }
            None => Some(node),
        }
    }
}

fn pairs(nodes: Vec<Rc<Node>>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let mut nodes = nodes.into_iter();
    std::iter::from_fn(|| Some((nodes.next()?, nodes.next()?))).collect()
}

fn scalar(text: &str, style: ScalarStyle, span: Span, source: &Text<'_>) -> Scalar {
    let end = source.text.len();
    let span = span.byte_range().unwrap_or(end..end);
    let span = match style {
        ScalarStyle::DoubleQuoted | ScalarStyle::SingleQuoted if span.len() >= 2 => {
            span.start + 1..span.end - 1
        }
        _ => span,
    };
    Scalar { text: text.to_owned(), span, is_plain: style == ScalarStyle::Plain }
}

/// How deep merges are followed, and how many mappings one of them lists: nobody has more.
const MAX_MERGES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Document> {
        documents(&Text::new("x.yaml", text)).unwrap()
    }

    #[test]
    fn scalars_know_their_bytes_whatever_their_quotes() {
        let text = "ü: [plain, 'single', \"double\"]\n";
        let documents = read(text);
        let list = documents[0].root.member("ü").unwrap();
        let written: Vec<_> =
            list.elements().iter().map(|node| &text[node.scalar().unwrap().span.clone()]).collect();
        assert_eq!(written, ["plain", "single", "double"]);
    }

    #[test]
    fn aliases_and_merges_are_what_they_stand_for() {
        let text = "base: &base {image: a, tag: b}\none: *base\ntwo:\n  <<: *base\n  tag: c\nthree: {<<: [{x: y}, *base]}\n";
        let root = &read(text)[0].root;
        assert_eq!(root.at(&["one", "image"]).and_then(Node::text), Some("a"));
        assert_eq!(root.at(&["two", "image"]).and_then(Node::text), Some("a"));
        assert_eq!(root.at(&["two", "tag"]).and_then(Node::text), Some("c"));
        assert_eq!(root.at(&["three", "tag"]).and_then(Node::text), Some("b"));
    }

    #[test]
    fn every_document_is_one() {
        let documents = read("a: 1\n---\nb: 2\n--- # empty\n---\n[c]\n");
        let firsts = documents.iter().map(|document| document.root.members().len());
        assert_eq!(firsts.collect::<Vec<_>>(), [1, 1, 0, 0]);
        assert!(read("").is_empty());
    }

    #[test]
    fn merges_without_end_end() {
        let mut text = "a0: &a0 {x: 1}\n".to_owned();
        for number in 1..40 {
            let before = number - 1;
            text +=
                &format!("a{number}: &a{number} {{<<: [*a{before}, *a{before}, *a{before}]}}\n");
        }
        assert!(read(&text)[0].root.at(&["a39", "y"]).is_none());
    }

    #[test]
    fn says_where_it_is_no_yaml() {
        let error = documents(&Text::new("x.yaml", "a: 1\nb: [\n")).unwrap_err().to_string();
        assert!(error.starts_with("x.yaml:") && error.contains("not YAML"), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9:\\-&*<{}\\[\\],'\"|>!%# \n]{0,80}") {
            let _ = documents(&Text::new("x.yaml", &text));
        }
    }
}
