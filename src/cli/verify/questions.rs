//! What is to be judged: each image once, however often and wherever it is mentioned.

use std::collections::HashMap;

use super::{Answer, Judge, Told, Unjudged};
use crate::{
    cli::failure::CliError,
    images::{Document, ImageArgument, Place, Selection, TagPattern},
    oci::Tag,
};

/// Something to judge.
#[derive(Debug)]
pub(super) struct Question {
    asked: Asked,
    places: Vec<Place>,
}

#[derive(Debug)]
enum Asked {
    Image(ImageArgument),
    /// What cannot be told, with the reason.
    Unclear(String, String),
}

impl Question {
    /// What `judge` says to it.
    pub(super) async fn put_to<J: Judge>(self, judge: &J) -> Answer {
        let Self { asked, places } = self;
        let image = match asked {
            Asked::Image(image) => image,
            Asked::Unclear(asked, why) => {
                let told = Told::Unclear(why);
                return Answer { asked, places, image: None, reference: None, told };
            }
        };
        let canonical = judge.canonical(&image).ok().flatten();
        let (image_name, told) = match judge.judge(&image).await {
            Ok(judged) => {
                let told = Told::Judged(judged.digest, Box::new(judged.verdict));
                (Some(judged.image), told)
            }
            Err(Unjudged::Missing(why)) => (canonical, Told::Missing(why)),
            Err(Unjudged::Unreached(why)) => (canonical, Told::Unreached(why)),
        };
        let reference = Some(image.reference_or_latest());
        Answer { asked: image.to_string(), places, image: image_name, reference, told }
    }
}

/// The questions that `images` and `documents` raise.
///
/// # Errors
/// [`CliError::Usage`] when one of `images` is no name.
pub(super) async fn all<J: Judge>(
    images: &[ImageArgument],
    documents: &[Document],
    judge: &J,
) -> Result<Vec<Question>, CliError> {
    let mut questions = Questions::default();
    for image in images {
        judge.canonical(image).map_err(|error| CliError::Usage(format!("`{image}`: {error}")))?;
        questions.add(image, None);
    }
    for document in documents {
        for mention in &document.reading.mentions {
            match &mention.wanted {
                Selection::One(image) => match judge.canonical(image) {
                    Ok(_) => questions.add(image, Some(&mention.place)),
                    Err(why) => questions.unclear(&image.to_string(), &mention.place, why),
                },
                Selection::Many { name, tags } => {
                    questions.expand(name, tags, &mention.place, judge).await;
                }
            }
        }
        for unclear in &document.reading.unclear {
            questions.unclear(&unclear.text, &unclear.place, unclear.why.clone());
        }
    }
    Ok(questions.in_order)
}

#[derive(Default)]
struct Questions {
    in_order: Vec<Question>,
    known: HashMap<ImageArgument, usize>,
}

impl Questions {
    fn add(&mut self, image: &ImageArgument, place: Option<&Place>) {
        let number = *self.known.entry(image.clone()).or_insert(self.in_order.len());
        if number == self.in_order.len() {
            let asked = Asked::Image(image.clone());
            self.in_order.push(Question { asked, places: Vec::new() });
        }
        self.in_order[number].places.extend(place.cloned());
    }

    fn unclear(&mut self, text: &str, place: &Place, why: String) {
        let asked = Asked::Unclear(text.to_owned(), why);
        self.in_order.push(Question { asked, places: vec![place.clone()] });
    }

    /// Every tag that a pattern means now.
    async fn expand<J: Judge>(
        &mut self,
        name: &str,
        pattern: &TagPattern,
        place: &Place,
        judge: &J,
    ) {
        let text = format!("{name}:{pattern}");
        match judge.tags(name).await {
            Err(why) => self.unclear(&text, place, format!("the tags cannot be listed: {why}")),
            Ok(tags) => {
                let selected = pattern.select(tags.iter().map(String::as_str));
                let selected: Vec<Tag> =
                    selected.into_iter().filter_map(|tag| tag.parse().ok()).collect();
                if selected.is_empty() {
                    self.unclear(&text, place, "no tag of the repository matches".to_owned());
                }
                for tag in selected {
                    self.add(&ImageArgument::tagged(name, tag), Some(place));
                }
            }
        }
    }
}
