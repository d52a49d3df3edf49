//! How much the parser makes of a text, counted while it is parsed a little at a time and given up as soon as it is too much. The same
//! parser does the cleaning afterwards, so nothing can look small here and be large there.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ExpandedName, LocalName, ParseOpts, QualName, ns, parse_fragment};

/// Most elements and comments that may come of a text, those included that the parser repeats to repair it.
const MAX_NODES: usize = 10_000;
/// Most pieces of text: each `<` and `&` that means nothing begins one, and putting them together is dear.
const MAX_PIECES: usize = 20_000;
/// Most elements within each other.
const MAX_DEPTH: usize = 100;
/// Most blanks, slashes and quotes in one tag or comment: the parser compares each attribute with all before it.
const MAX_SEPARATORS: usize = 20_000;
/// Bytes parsed between two looks: few enough that not much can come of them.
pub(super) const STEP: usize = 256;

/// What is said of markup of more than `most` bytes.
pub(super) fn too_long(most: usize) -> String {
    format!("Must be at most {most} bytes once it is cleaned")
}

/// Whether `text` may be cleaned, or what is too much about it. `most` is how many bytes may come of it.
pub(super) fn take(text: &str, most: usize) -> Result<(), String> {
    let context = QualName::new(None, ns!(html), LocalName::from("div"));
    let mut parser = parse_fragment(Census::default(), ParseOpts::default(), context, Vec::new(), false);
    let (mut rest, mut before, mut separators) = (text, 0, 0);
    while !rest.is_empty() {
        let (step, left) = rest.split_at(rest.floor_char_boundary(STEP));
        parser.process(StrTendril::from_slice(step));
        let census = &parser.tokenizer.sink.sink;
        if census.nodes.get() > MAX_NODES {
            return Err(format!("Must not have more than {MAX_NODES} elements"));
        }
        // The root of what is parsed is none of them.
        if census.deepest.get() > MAX_DEPTH + 1 {
            return Err(format!("Must not have more than {MAX_DEPTH} elements within each other"));
        }
        if census.pieces.get() > MAX_PIECES {
            return Err(format!(
                "Must not have more than {MAX_PIECES} pieces of text, as many as there are `<` and `&`"
            ));
        }
        if census.bytes.get() > most {
            return Err(too_long(most));
        }
        if census.calls.get() == before {
            separators += step
                .bytes()
                .filter(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'"' | b'\''))
                .count();
        } else {
            (before, separators) = (census.calls.get(), 0);
        }
        if separators > MAX_SEPARATORS {
            return Err("Must not have a tag or comment of so many parts".to_owned());
        }
        rest = left;
    }
    Ok(())
}

/// Counts nodes instead of keeping them.
#[derive(Debug, Default)]
struct Census {
    nodes: Cell<usize>,
    deepest: Cell<usize>,
    /// Of the attributes of all elements.
    bytes: Cell<usize>,
    pieces: Cell<usize>,
    /// How often the parser told of anything.
    calls: Cell<usize>,
}

#[derive(Debug)]
struct Node {
    name: QualName,
    depth: Cell<usize>,
    has_parent: Cell<bool>,
    /// Of a template.
    contents: Option<Rc<Node>>,
}

impl Census {
    fn node(&self, name: QualName, is_template: bool) -> Rc<Node> {
        self.nodes.set(self.nodes.get() + 1);
        self.calls.set(self.calls.get() + 1);
        let nameless = QualName::new(None, ns!(), LocalName::default());
        let contents = is_template.then(|| self.node(nameless, false));
        Rc::new(Node { name, depth: Cell::new(0), has_parent: Cell::new(false), contents })
    }

    fn put(&self, child: NodeOrText<Rc<Node>>, depth: usize) {
        self.calls.set(self.calls.get() + 1);
        if let NodeOrText::AppendText(_) = &child {
            self.pieces.set(self.pieces.get() + 1);
        }
        if let NodeOrText::AppendNode(node) = child {
            node.depth.set(depth);
            node.has_parent.set(true);
            if let Some(contents) = &node.contents {
                contents.depth.set(depth);
            }
            self.deepest.set(self.deepest.get().max(depth));
        }
    }
}

impl TreeSink for Census {
    type Handle = Rc<Node>;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Rc<Node> {
        Rc::new(Node {
            name: QualName::new(None, ns!(), LocalName::default()),
            depth: Cell::new(0),
            has_parent: Cell::new(false),
            contents: None,
        })
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Node>) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Rc<Node> {
        let bytes: usize = attributes.iter().map(|attribute| attribute.name.local.len() + attribute.value.len()).sum();
        self.bytes.set(self.bytes.get() + bytes);
        self.node(name, flags.template)
    }

    fn create_comment(&self, _: StrTendril) -> Rc<Node> {
        self.node(QualName::new(None, ns!(), LocalName::default()), false)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<Node> {
        self.node(QualName::new(None, ns!(), LocalName::default()), false)
    }

    fn append(&self, parent: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        self.put(child, parent.depth.get() + 1);
    }

    fn append_based_on_parent_node(&self, element: &Rc<Node>, before: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        if element.has_parent.get() {
            self.append_before_sibling(element, child);
        } else {
            self.append(before, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Rc<Node>) -> Rc<Node> {
        Rc::clone(target.contents.as_ref().expect("the parser asks this of templates only"))
    }

    fn same_node(&self, one: &Rc<Node>, other: &Rc<Node>) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        self.put(child, sibling.depth.get());
    }

    fn add_attrs_if_missing(&self, _: &Rc<Node>, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Rc<Node>) {
        target.has_parent.set(false);
    }

    /// The depth of what is moved stays as it was: it decides nothing but when to give up.
    fn reparent_children(&self, _: &Rc<Node>, _: &Rc<Node>) {}
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const MOST: usize = 1 << 20;

    #[test]
    fn what_people_write_is_taken() {
        let article =
            "<h2>Title</h2><p class=\"x\">Some <b>bold</b> and <i>so on</i>.</p><ul><li>one</li><li>two</li></ul>"
                .repeat(500);
        for text in [
            "plain",
            "a < b & c",
            "<p>open",
            "<table><tr><td>1</td></tr></table>",
            article.as_str(),
            &"word ".repeat(100_000),
        ] {
            assert_eq!(take(text, MOST), Ok(()), "{} bytes", text.len());
        }
        let picture = format!("<img src=\"data:image/png;base64,{}\">", "iVBORw0KG/o+AAAANSUhEUgAA".repeat(12_000));
        assert_eq!(take(&picture, MOST), Ok(()));
    }

    /// Each of them took the cleaning seconds to minutes, or came out many times as long.
    #[test]
    fn what_would_be_quadratic_or_multiply_is_given_up_soon() {
        let ids = |count: usize| (0..count).map(|id| format!("<b id={id}>")).collect::<Vec<_>>();
        let long = (0..90).map(|id| format!("<b title={id}{}>", "x".repeat(1000))).collect::<Vec<_>>().concat();
        let hostile = [
            "<div>".repeat(200_000),
            "<p>".to_owned() + &"<b>".repeat(100_000),
            ids(1000).join("<p>") + &"</b>".repeat(1000),
            ids(20_000).concat(),
            format!("<p>{long}</p>{}", "<p>x".repeat(20_000)),
            format!("<div {}>", (0..100_000).map(|at| format!("a{at} ")).collect::<Vec<_>>().concat()),
            format!("<div {}>", (0..100_000).map(|at| format!("a{at}/")).collect::<Vec<_>>().concat()),
            format!("<div {}>", (0..100_000).map(|at| format!("a{at}=\"\"")).collect::<Vec<_>>().concat()),
            "<table>".repeat(100_000),
            "<table><a>".repeat(50_000),
            format!("<table>{}", "<i>x</i>".repeat(50_000)),
            "<svg>".repeat(100_000),
            "<template>".repeat(50_000),
            "<select><option>".repeat(50_000),
            "<a><div>".repeat(50_000),
            "<!---->".repeat(50_000),
            "<ruby><rt>".repeat(50_000),
        ];
        for text in &hostile {
            let begun = Instant::now();
            assert!(take(text, MOST).is_err(), "{}", &text[..40]);
            assert!(begun.elapsed() < Duration::from_secs(5), "{}: {:?}", &text[..40], begun.elapsed());
        }
    }
}
