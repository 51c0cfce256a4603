//! Which images a command is about: named one by one, or by files that speak of them.

use std::{io, path::Path};

use crate::{
    archive::Item,
    cli::CliError,
    images::{Document, ImageArgument, Selection, Source, TagPattern, Values},
    mirror::{Context, Denied, Mirror, Order, Platforms},
    oci::{ImageName, Reference, UpstreamTable},
};

/// The images that were asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Those that are certain.
    pub(super) orders: Vec<Order>,
    /// Repositories, and which of their tags.
    patterns: Vec<(ImageName, TagPattern)>,
    /// What cannot be told from the files, and what matches nothing.
    pub(super) unclear: Vec<Item>,
}

impl Wanted {
    /// Exactly these.
    pub(super) const fn of(orders: Vec<Order>) -> Self {
        Self { orders, patterns: Vec::new(), unclear: Vec::new() }
    }

    /// Reads `arguments`: a file, a folder or `-` is read for the images that it mentions, anything
    /// else is an image.
    ///
    /// # Errors
    /// [`CliError::Usage`] names the file and the line that cannot be read.
    pub(super) fn read(
        arguments: &[String],
        platforms: &Platforms,
        table: &UpstreamTable,
    ) -> Result<Self, CliError> {
        let mut wanted = Self::default();
        for argument in arguments {
            if is_source(argument) {
                let source: Source = argument
                    .parse()
                    .map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))?;
                let read = source.read(&Values::default(), &mut io::stdin());
                for document in read.map_err(|error| CliError::Usage(error.to_string()))? {
                    wanted.take(document, platforms, table)?;
                }
            } else {
                let image: ImageArgument = argument
                    .parse()
                    .map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))?;
                wanted.orders.push(order(&image, platforms, table)?);
            }
        }
        Ok(wanted)
    }

    fn take(
        &mut self,
        document: Document,
        platforms: &Platforms,
        table: &UpstreamTable,
    ) -> Result<(), CliError> {
        let reading = document.reading;
        for mention in reading.mentions {
            let said = |error: CliError| CliError::Usage(format!("{}: {error}", mention.place));
            match &mention.wanted {
                Selection::One(image) => {
                    self.orders.push(order(image, platforms, table).map_err(said)?);
                }
                Selection::Many { name, tags } => {
                    let image = table.parse_image(name);
                    let image = image.map_err(|error| {
                        CliError::Usage(format!("{}: `{name}`: {error}", mention.place))
                    })?;
                    self.patterns.push((image, tags.clone()));
                }
            }
        }
        self.unclear.extend(reading.unclear.into_iter().map(|unclear| {
            Item::failed(unclear.text, format!("{}: {}", unclear.place, unclear.why))
        }));
        Ok(())
    }

    /// Turns the patterns into orders, by the tags that `mirror` knows or hears of.
    pub(super) async fn expand(
        &mut self,
        mirror: &Mirror,
        context: &Context,
        platforms: &Platforms,
    ) {
        for (image, pattern) in std::mem::take(&mut self.patterns) {
            let asked = format!("{image}:{pattern}");
            match all_tags(mirror, context, &image).await {
                Err(error) => self.unclear.push(Item::failed(asked, error)),
                Ok(tags) => {
                    let selected = pattern.select(tags.iter().map(String::as_str));
                    let tags = selected.into_iter().filter_map(|tag| tag.parse().ok());
                    let before = self.orders.len();
                    self.orders.extend(tags.map(|tag| Order {
                        image: image.clone(),
                        reference: Reference::Tag(tag),
                        platforms: platforms.clone(),
                        denied: Denied::Left,
                        from: None,
                    }));
                    if self.orders.len() == before {
                        let message = "no tag matches".to_owned();
                        self.unclear.push(Item::failed(asked, message));
                    }
                }
            }
        }
    }
}

async fn all_tags(
    mirror: &Mirror,
    context: &Context,
    image: &ImageName,
) -> Result<Vec<String>, String> {
    let (mut tags, mut last) = (Vec::new(), None);
    loop {
        let page = mirror.tags(context, image, None, last.as_deref()).await;
        let page = page.map_err(|error| error.to_string())?;
        tags.extend(page.tags);
        if tags.len() > MAX_TAGS {
            return Err(format!("it has more than {MAX_TAGS} tags: name the ones you want"));
        }
        match page.next {
            Some(next) if last.as_ref() != Some(&next) => last = Some(next),
            _ => return Ok(tags),
        }
    }
}

fn is_source(argument: &str) -> bool {
    argument == "-" || argument.contains('=') || Path::new(argument).exists()
}

fn order(
    argument: &ImageArgument,
    platforms: &Platforms,
    table: &UpstreamTable,
) -> Result<Order, CliError> {
    let image = argument.image(table);
    let image = image.map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))?;
    Ok(Order {
        image,
        reference: argument.reference_or_latest(),
        platforms: platforms.clone(),
        denied: Denied::Left,
        from: None,
    })
}

/// Tags of one repository that a pattern is held against.
const MAX_TAGS: usize = 100_000;
