//! `POST /v1/verify?image=docker.io/library/nginx&reference=1.27` on the operator's listener: looks
//! again, now, at what the reference means and at its evidence.
//!
//! A denial is remembered for `cache.denied_fresh`; whoever has just signed does not want to wait for
//! its end. The answer is the verdict, as `GET` on a decision would show it. Clients cannot ask this:
//! each call costs the upstream several requests.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::{admin::page, body::Body, headers, query, service::Arrival};
use crate::{
    mirror::{Client, Context, Mirror},
    oci::{ImageName, Reference},
};

/// The answer to the call with these parameters.
pub(super) async fn answer(
    mirror: &Mirror,
    parameters: Option<&str>,
    arrival: &Arrival,
) -> Response<Body> {
    let (image, reference) = match asked(mirror, parameters) {
        Ok(asked) => asked,
        Err(why) => return response(StatusCode::BAD_REQUEST, &json!({ "error": why })),
    };
    let context = Context {
        request: arrival.request_id.as_str().to_owned(),
        client: Client { address: arrival.client, label: Some("verify".to_owned()), job: None },
        content: false,
    };
    let (status, rest) = match mirror.verdict_anew(&context, &image, &reference).await {
        Ok((digest, verdict)) => (StatusCode::OK, json!({ "digest": digest, "verdict": verdict })),
        Err(error) => (StatusCode::BAD_GATEWAY, json!({ "error": error.to_string() })),
    };
    let mut content = json!({ "image": image.to_string(), "reference": reference.to_string() });
    if let (Value::Object(content), Value::Object(rest)) = (&mut content, rest) {
        content.extend(rest);
    }
    response(status, &content)
}

fn asked(mirror: &Mirror, parameters: Option<&str>) -> Result<(ImageName, Reference), String> {
    let parameter = |name| {
        query::first(parameters, name).ok_or_else(|| format!("the parameter `{name}` is missing"))
    };
    let image = mirror.table().parse_image(&parameter("image")?).map_err(|e| e.to_string())?;
    let reference = parameter("reference")?.parse::<Reference>().map_err(|e| e.to_string())?;
    Ok((image, reference))
}

fn response(status: StatusCode, content: &Value) -> Response<Body> {
    page(status, headers::JSON, format!("{content}\n"), false)
}
