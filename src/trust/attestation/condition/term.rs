//! From the text of a condition to a tree in which every name is known.
//!
//! The `cel` crate reads the language; what it read is checked here, once, when the policy is loaded:
//! that every variable and function exists, that patterns compile and are anchored, and that nothing
//! is deeper than [`MAX_DEPTH`]. Of the language there is what a policy needs. Left out are: making
//! texts, objects and bytes, because they can be made to grow; optional values and type names,
//! because a missing field has to be an answer; patterns that are computed, because they could not be
//! checked at load.

use cel::{
    Env,
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators},
};
use regex::Regex;

use super::{Mistake, anchored::anchored};

/// A part of a condition.
#[derive(Clone, Debug)]
pub(super) enum Term {
    And(Box<[Self; 2]>),
    Arithmetic(Arithmetic, Box<[Self; 2]>),
    /// `condition ? one : other`.
    Choose(Box<[Self; 3]>),
    Compare(Comparison, Box<[Self; 2]>),
    Convert(Conversion, Box<Self>),
    /// Something over each entry of a list.
    Each(Box<Each>),
    /// `has(of.name)`.
    Has(Box<Self>, String),
    /// `of[at]`.
    Index(Box<[Self; 2]>),
    List(Vec<Self>),
    Literal(Literal),
    /// The variable of an enclosing [`Each`], counted from the outermost.
    Local(usize),
    Matches(Box<Self>, Regex),
    Negate(Box<Self>),
    Not(Box<Self>),
    Or(Box<[Self; 2]>),
    Search(Search, Box<[Self; 2]>),
    /// `of.name`, with the whole path as it is written.
    Select(Box<Self>, String, String),
    Size(Box<Self>),
    Variable(Variable),
}

/// A value that is written in the condition.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Bool(bool),
    Double(f64),
    Int(i64),
    Null,
    Text(String),
}

/// What every condition knows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variable {
    Image,
    Now,
    Predicate,
    Subject,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Arithmetic {
    Add,
    Divide,
    Multiply,
    Remainder,
    Subtract,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    In,
    Less,
    LessOrEqual,
    Unequal,
}

/// Functions of one argument that give another kind of value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conversion {
    Double,
    Duration,
    Int,
    Timestamp,
}

/// Where in a text another one is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    Anywhere,
    AtEnd,
    AtStart,
}

/// What is done with each entry of `over`.
#[derive(Clone, Debug)]
pub(super) struct Each {
    pub(super) kind: EachKind,
    pub(super) over: Term,
    pub(super) body: Term,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A condition that every one of these parts has to meet, each with its own text.
pub(super) fn compile(text: &str) -> Result<Vec<(String, Term)>, Mistake> {
    let parser = Env::default().with_optional_support(false).parser();
    let parser = parser.max_recursion_depth(MAX_PARSED).error_recovery_limit(0);
    let (tree, positions) = parser.parse_with_source_info(text).map_err(|errors| {
        let first = errors.errors.into_iter().next();
        first.map_or_else(
            || Mistake::at(text, 0, "is no expression"),
            |error| Mistake {
                line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
                column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
                what: error.msg,
            },
        )
    })?;
    let mut compiler = Compiler { text, positions, locals: Vec::new() };
    let mut parts = Vec::new();
    let mut cuts = Vec::new();
    compiler.parts(&tree, &mut parts, &mut cuts)?;
    Ok(parts.into_iter().zip(compiler.slices(cuts)).map(|(term, text)| (text, term)).collect())
}

struct Compiler<'t> {
    text: &'t str,
    positions: SourceInfo,
    /// The variables of the lists that are gone through around here.
    locals: Vec<String>,
}

impl Compiler<'_> {
    /// The parts that are joined by `&&`, and where these are written.
    fn parts(
        &mut self,
        tree: &IdedExpr,
        parts: &mut Vec<Term>,
        cuts: &mut Vec<usize>,
    ) -> Result<(), Mistake> {
        match &tree.expr {
            Expr::Call(call) if call.func_name == operators::LOGICAL_AND => {
                cuts.push(self.position(tree));
                call.args.iter().try_for_each(|part| self.parts(part, parts, cuts))
            }
            _ => {
                parts.push(self.term(tree, MAX_DEPTH)?);
                Ok(())
            }
        }
    }

    /// The text between `cuts`; the whole text for each where parentheses join some of them.
    fn slices(&self, mut cuts: Vec<usize>) -> Vec<String> {
        cuts.sort_unstable();
        let letters: Vec<char> = self.text.chars().collect();
        let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut + "&&".len()));
        let ends = cuts.iter().copied().chain([letters.len()]);
        let slices: Vec<String> = starts
            .zip(ends)
            .map(|(start, end)| letters.get(start..end).unwrap_or_default().iter().collect())
            .collect();
        let is_whole = |slice: &String| slice.matches('(').count() == slice.matches(')').count();
        if slices.iter().all(is_whole) {
            slices.iter().map(|slice| slice.trim().to_owned()).collect()
        } else {
            vec![self.text.trim().to_owned(); slices.len()]
        }
    }

    fn term(&mut self, tree: &IdedExpr, depth: usize) -> Result<Term, Mistake> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.mistake(tree, format!("is nested deeper than {MAX_DEPTH} levels")));
        };
        match &tree.expr {
            Expr::Literal(literal) => self.literal(tree, literal),
            Expr::Ident(name) => self.variable(tree, name),
            Expr::Select(select) => {
                let of = self.term(&select.operand, depth)?;
                let path = self.path(tree);
                Ok(Term::Select(of.into(), select.field.clone(), path))
            }
            Expr::List(list) => {
                let entries = list.elements.iter().map(|entry| self.term(entry, depth));
                Ok(Term::List(entries.collect::<Result<_, _>>()?))
            }
            Expr::Call(call) => self.call(tree, call, depth),
            Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.mistake(tree, "is not understood here: write values, lists and calls"))
            }
        }
    }

    fn literal(&self, tree: &IdedExpr, literal: &LiteralValue) -> Result<Term, Mistake> {
        Ok(Term::Literal(match literal {
            LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
            LiteralValue::Bytes(_) => return Err(self.mistake(tree, "bytes are not known here")),
            LiteralValue::Double(value) => Literal::Double(*value.inner()),
            LiteralValue::Int(value) => Literal::Int(*value.inner()),
            LiteralValue::Null => Literal::Null,
            LiteralValue::String(text) => Literal::Text(text.inner().to_owned()),
            LiteralValue::UInt(value) => match i64::try_from(*value.inner()) {
                Ok(value) => Literal::Int(value),
                Err(_) => return Err(self.mistake(tree, "the number is too large")),
            },
        }))
    }

    fn variable(&self, tree: &IdedExpr, name: &str) -> Result<Term, Mistake> {
        if let Some(at) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Term::Local(at));
        }
        Ok(Term::Variable(match name {
            "image" => Variable::Image,
            "now" => Variable::Now,
            "predicate" => Variable::Predicate,
            "subject" => Variable::Subject,
            _ => {
                let what = format!(
                    "there is no `{name}`: a condition is over `predicate`, `subject`, `image` and `now`"
                );
                return Err(self.mistake(tree, what));
            }
        }))
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Term, Mistake> {
        // `x.size()` and `size(x)` are the same to everybody.
        let arguments: Vec<&IdedExpr> =
            call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            ("has", [field]) => self.has(field, depth),
            ("matches", [of, pattern]) => self.matches(of, pattern, depth),
            (name, [over, variable, body]) if let Some(kind) = each_of(name) => {
                self.each(kind, [over, variable, body], depth)
            }
            (name, [one]) if let Some(make) = unary_of(name) => {
                Ok(make(self.term(one, depth)?.into()))
            }
            (name, [one, two]) if let Some(make) = binary_of(name) => {
                Ok(make([self.term(one, depth)?, self.term(two, depth)?].into()))
            }
            (operators::CONDITIONAL, [one, two, three]) => {
                let parts =
                    [self.term(one, depth)?, self.term(two, depth)?, self.term(three, depth)?];
                Ok(Term::Choose(parts.into()))
            }
            (name, arguments) => {
                let count = arguments.len();
                let what = format!("there is no function `{name}` of {count} arguments");
                Err(self.mistake(tree, what))
            }
        }
    }

    fn has(&mut self, field: &IdedExpr, depth: usize) -> Result<Term, Mistake> {
        match &field.expr {
            Expr::Select(select) => {
                Ok(Term::Has(self.term(&select.operand, depth)?.into(), select.field.clone()))
            }
            _ => Err(self.mistake(field, "`has` asks for a field, as in `has(predicate.builder)`")),
        }
    }

    fn matches(
        &mut self,
        of: &IdedExpr,
        pattern: &IdedExpr,
        depth: usize,
    ) -> Result<Term, Mistake> {
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            return Err(self.mistake(pattern, "a pattern has to be written out, as a text"));
        };
        let regex = anchored(text.inner()).map_err(|what| self.mistake(pattern, what))?;
        Ok(Term::Matches(self.term(of, depth)?.into(), regex))
    }

    fn each(
        &mut self,
        kind: EachKind,
        [over, variable, body]: [&IdedExpr; 3],
        depth: usize,
    ) -> Result<Term, Mistake> {
        let over = self.term(over, depth)?;
        let Expr::Ident(name) = &variable.expr else {
            return Err(self.mistake(variable, "has to be a name for each entry"));
        };
        self.locals.push(name.clone());
        let body = self.term(body, depth);
        self.locals.pop();
        Ok(Term::Each(Each { kind, over, body: body? }.into()))
    }

    /// `tree` as it is written, for names with dots between them.
    fn path(&self, tree: &IdedExpr) -> String {
        match &tree.expr {
            Expr::Ident(name) => name.clone(),
            Expr::Select(select) => format!("{}.{}", self.path(&select.operand), select.field),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.first() {
                Some(of) => format!("{}[]", self.path(of)),
                None => "..".to_owned(),
            },
            _ => "..".to_owned(),
        }
    }

    /// The letter at which `tree` is written, from 0.
    fn position(&self, tree: &IdedExpr) -> usize {
        self.positions.offset_for(tree.id).map_or(0, |(start, _)| start as usize)
    }

    fn mistake(&self, tree: &IdedExpr, what: impl Into<String>) -> Mistake {
        Mistake::at(self.text, self.position(tree), what)
    }
}

fn each_of(name: &str) -> Option<EachKind> {
    Some(match name {
        operators::ALL => EachKind::All,
        operators::EXISTS => EachKind::Exists,
        operators::EXISTS_ONE | "existsOne" => EachKind::ExistsOne,
        operators::FILTER => EachKind::Filter,
        operators::MAP => EachKind::Map,
        _ => return None,
    })
}

fn unary_of(name: &str) -> Option<fn(Box<Term>) -> Term> {
    Some(match name {
        operators::LOGICAL_NOT => Term::Not,
        operators::NEGATE => Term::Negate,
        "double" => |of| Term::Convert(Conversion::Double, of),
        "duration" => |of| Term::Convert(Conversion::Duration, of),
        "int" => |of| Term::Convert(Conversion::Int, of),
        "size" => Term::Size,
        "timestamp" => |of| Term::Convert(Conversion::Timestamp, of),
        _ => return None,
    })
}

/// Makes a term of two.
type OfTwo = fn(Box<[Term; 2]>) -> Term;

fn binary_of(name: &str) -> Option<OfTwo> {
    Some(match name {
        operators::LOGICAL_AND => Term::And,
        operators::LOGICAL_OR => Term::Or,
        operators::INDEX => Term::Index,
        operators::ADD => |of| Term::Arithmetic(Arithmetic::Add, of),
        operators::DIVIDE => |of| Term::Arithmetic(Arithmetic::Divide, of),
        operators::MODULO => |of| Term::Arithmetic(Arithmetic::Remainder, of),
        operators::MULTIPLY => |of| Term::Arithmetic(Arithmetic::Multiply, of),
        operators::SUBSTRACT => |of| Term::Arithmetic(Arithmetic::Subtract, of),
        operators::EQUALS => |of| Term::Compare(Comparison::Equal, of),
        operators::GREATER => |of| Term::Compare(Comparison::Greater, of),
        operators::GREATER_EQUALS => |of| Term::Compare(Comparison::GreaterOrEqual, of),
        operators::IN => |of| Term::Compare(Comparison::In, of),
        operators::LESS => |of| Term::Compare(Comparison::Less, of),
        operators::LESS_EQUALS => |of| Term::Compare(Comparison::LessOrEqual, of),
        operators::NOT_EQUALS => |of| Term::Compare(Comparison::Unequal, of),
        "contains" => |of| Term::Search(Search::Anywhere, of),
        "endsWith" => |of| Term::Search(Search::AtEnd, of),
        "startsWith" => |of| Term::Search(Search::AtStart, of),
        _ => return None,
    })
}

/// Terms inside each other.
const MAX_DEPTH: usize = 24;
/// Rules of the language's grammar inside each other, of which one term takes several.
const MAX_PARSED: u16 = 64;
